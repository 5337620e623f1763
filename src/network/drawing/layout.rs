//! Where the boxes of a picture stand, in columns from left to right.
//!
//! In four steps, as in the usual method for layered graphs: a column for each node (one more
//! than the furthest of those before it), a waypoint in every column that a long link crosses, an
//! order within each column that lets few links cross, and heights that keep links straight.
//!
//! Invariant: boxes and waypoints of a column keep [`GAP`] between them, so no link runs through a
//! box; every link advances by one column per hop.

use std::collections::HashMap;

/// The height of a box.
pub(super) const BOX: f64 = 34.0;
/// The least distance between two boxes, or links, above each other.
const GAP: f64 = 18.0;
/// The least distance between two columns.
const COLUMN_GAP: f64 = 52.0;
/// How often the order is improved from both sides. The best order is kept.
const SWEEPS: usize = 12;

/// A link as the layout sees it: the nodes it joins, and how wide its label is.
pub(super) struct Link {
    pub from: usize,
    pub to: usize,
    pub label: f64,
}

/// A node of the picture, or a waypoint of a link.
struct Point {
    column: usize,
    height: f64,
    /// The middle.
    y: f64,
}

#[derive(Default)]
pub(super) struct Layout {
    points: Vec<Point>,
    /// For each link the points that it passes, from its node to its node.
    pub routes: Vec<Vec<usize>>,
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
    columns: Vec<Vec<usize>>,
    /// The left and right end of each column.
    bounds: Vec<(f64, f64)>,
}

impl Layout {
    /// Places nodes of these widths.
    pub fn new(widths: &[f64], links: &[Link]) -> Self {
        let mut layout = Layout::default();
        for column in columns(widths.len(), links) {
            layout.add(column, BOX);
        }
        layout.route(links);
        layout.order();
        layout.level();
        layout.spread(widths, links);
        layout
    }

    /// The middle of a point.
    pub fn center(&self, point: usize) -> (f64, f64) {
        let (left, right) = self.bounds[self.points[point].column];
        (f64::midpoint(left, right), self.points[point].y)
    }

    /// Where links leave and enter the column of a point.
    pub fn bounds(&self, point: usize) -> (f64, f64) {
        self.bounds[self.points[point].column]
    }

    /// Width and height of everything.
    pub fn size(&self) -> (f64, f64) {
        let width = self.bounds.last().map_or(0.0, |(_, right)| *right);
        let bottom = self.points.iter().map(|p| p.y + p.height / 2.0);
        (width, bottom.fold(0.0, f64::max))
    }

    fn add(&mut self, column: usize, height: f64) -> usize {
        self.points.push(Point {
            column,
            height,
            y: 0.0,
        });
        self.before.push(Vec::new());
        self.after.push(Vec::new());
        self.points.len() - 1
    }

    /// Leads each link through a waypoint in every column that it crosses. Links to the same node
    /// share their waypoints: they become one line.
    fn route(&mut self, links: &[Link]) {
        let mut waypoints = HashMap::new();
        for link in links {
            let mut route = vec![link.from];
            for column in self.points[link.from].column + 1..self.points[link.to].column {
                let waypoint = waypoints.entry((link.to, column));
                route.push(*waypoint.or_insert_with(|| self.add(column, 0.0)));
            }
            route.push(link.to);
            for hop in route.windows(2) {
                if !self.after[hop[0]].contains(&hop[1]) {
                    self.after[hop[0]].push(hop[1]);
                    self.before[hop[1]].push(hop[0]);
                }
            }
            self.routes.push(route);
        }
    }

    /// Orders each column by the mean place of its neighbours, from the left and from the right.
    fn order(&mut self) {
        self.columns = self.first_order();
        let mut best = (self.crossings(), self.columns.clone());
        for sweep in 0..SWEEPS {
            if best.0 == 0 {
                break;
            }
            let places = self.places();
            self.sweep(sweep % 2 == 0, places);
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.columns.clone());
            }
        }
        self.columns = best.1;
    }

    /// Depth first from each node in turn: what belongs together stands together.
    fn first_order(&self) -> Vec<Vec<usize>> {
        let last = self.points.iter().map(|p| p.column + 1).max();
        let mut columns = vec![Vec::new(); last.unwrap_or(0)];
        let mut seen = vec![false; self.points.len()];
        for start in 0..self.points.len() {
            let mut waiting = vec![start];
            while let Some(at) = waiting.pop() {
                if !std::mem::replace(&mut seen[at], true) {
                    columns[self.points[at].column].push(at);
                    waiting.extend(self.before[at].iter().rev());
                    waiting.extend(self.after[at].iter().rev());
                }
            }
        }
        columns
    }

    /// The place of every point in its column.
    fn places(&self) -> Vec<f64> {
        let mut places = vec![0.0; self.points.len()];
        for column in &self.columns {
            for (place, at) in column.iter().enumerate() {
                places[*at] = place as f64;
            }
        }
        places
    }

    fn sweep(&mut self, rightward: bool, mut places: Vec<f64>) {
        let neighbours = if rightward { &self.before } else { &self.after };
        let count = self.columns.len();
        for step in 0..count {
            let column = if rightward { step } else { count - 1 - step };
            let column = &mut self.columns[column];
            let wish = |at: &usize| mean(&neighbours[*at], &places).unwrap_or(places[*at]);
            let wishes: HashMap<usize, f64> = column.iter().map(|at| (*at, wish(at))).collect();
            column.sort_by(|a, b| wishes[a].total_cmp(&wishes[b]));
            for (place, at) in column.iter().enumerate() {
                places[*at] = place as f64;
            }
        }
    }

    /// How many links cross: the pairs of hops whose ends stand in opposite order.
    fn crossings(&self) -> usize {
        let places = self.places();
        let mut crossings = 0;
        for column in &self.columns {
            let mut above: Vec<f64> = Vec::new();
            for at in column {
                let mut ends: Vec<f64> = self.after[*at].iter().map(|to| places[*to]).collect();
                ends.sort_by(f64::total_cmp);
                for end in &ends {
                    crossings += above.len() - above.partition_point(|other| other <= end);
                }
                for end in ends {
                    above.insert(above.partition_point(|other| *other <= end), end);
                }
            }
        }
        crossings
    }

    /// Gives every point its height: as near to its neighbours as its column allows.
    fn level(&mut self) {
        for sweep in 0..2 * SWEEPS {
            for step in 0..self.columns.len() {
                // The last sweep goes with the links: one that leads on alone is straight.
                let rightward = sweep % 2 == 1;
                let last = self.columns.len() - 1;
                let at = if rightward { step } else { last - step };
                let ys: Vec<f64> = self.points.iter().map(|p| p.y).collect();
                let near = if rightward { &self.before } else { &self.after };
                let wish = |at: &usize| mean(&near[*at], &ys).unwrap_or(ys[*at]);
                let wishes: Vec<f64> = self.columns[at].iter().map(wish).collect();
                self.stack(at, &wishes);
            }
        }
        let top = self.points.iter().map(|p| p.y - p.height / 2.0);
        let top = top.fold(f64::INFINITY, f64::min);
        for point in &mut self.points {
            point.y = (point.y - top).round();
        }
    }

    /// Puts a column as near to its wishes as the gaps allow. Points whose wishes collide form a
    /// block, which stands at the mean of what its members wish.
    fn stack(&mut self, column: usize, wishes: &[f64]) {
        let column = &self.columns[column];
        let mut offsets = Vec::with_capacity(column.len());
        let mut offset = 0.0;
        for (place, at) in column.iter().enumerate() {
            if place > 0 {
                let above = self.points[column[place - 1]].height;
                offset += f64::midpoint(above, self.points[*at].height) + GAP;
            }
            offsets.push(offset);
        }
        let mut blocks: Vec<(f64, usize)> = Vec::new();
        for (wish, offset) in wishes.iter().zip(&offsets) {
            let mut block = (wish - offset, 1);
            while let Some((sum, count)) =
                blocks.pop_if(|(sum, count)| *sum / *count as f64 >= block.0 / block.1 as f64)
            {
                block = (block.0 + sum, block.1 + count);
            }
            blocks.push(block);
        }
        let tops = blocks
            .iter()
            .flat_map(|(sum, count)| std::iter::repeat_n(sum / *count as f64, *count));
        for ((at, offset), top) in column.iter().zip(&offsets).zip(tops) {
            self.points[*at].y = top + offset;
        }
    }

    /// Sets the columns side by side. Between them is room for the labels, and for links to rise.
    fn spread(&mut self, widths: &[f64], links: &[Link]) {
        let mut wide = vec![0.0_f64; self.columns.len()];
        for (point, width) in self.points.iter().zip(widths) {
            wide[point.column] = wide[point.column].max(*width);
        }
        let mut gaps = vec![COLUMN_GAP; self.columns.len()];
        for (link, route) in links.iter().zip(&self.routes) {
            let gap = &mut gaps[self.points[link.from].column];
            *gap = gap.max(link.label + COLUMN_GAP);
            for hop in route.windows(2) {
                let rise = (self.points[hop[0]].y - self.points[hop[1]].y).abs();
                let gap = &mut gaps[self.points[hop[0]].column];
                *gap = gap.max((rise / 3.0).min(3.0 * COLUMN_GAP));
            }
        }
        let mut left = 0.0;
        for (width, gap) in wide.into_iter().zip(gaps) {
            self.bounds.push((left, left + width));
            left += (width + gap).ceil();
        }
    }
}

/// The column of every node: behind all that lead to it. One that nothing leads to stands just
/// before the first that it leads to.
fn columns(nodes: usize, links: &[Link]) -> Vec<usize> {
    let mut columns = vec![0; nodes];
    let mut moved = true;
    while std::mem::take(&mut moved) {
        for link in links {
            if columns[link.to] <= columns[link.from] {
                columns[link.to] = columns[link.from] + 1;
                moved = true;
            }
        }
    }
    for node in 0..nodes {
        let follows = |link: &&Link| link.from == node;
        let next = links.iter().filter(follows).map(|link| columns[link.to]);
        if !links.iter().any(|link| link.to == node) {
            columns[node] = next.min().map_or(0, |column| column - 1);
        }
    }
    columns
}

fn mean(points: &[usize], values: &[f64]) -> Option<f64> {
    let sum: f64 = points.iter().map(|at| values[*at]).sum();
    (!points.is_empty()).then(|| sum / points.len() as f64)
}

//! The groups of windows that close.

use super::{GroupIndex, GroupSlot, Groups};
use crate::window::kind::WindowBounds;

impl Groups {
    /// The window of a group, where windows close.
    #[inline]
    pub fn window(&self, index: GroupIndex) -> Option<WindowBounds> {
        if self.closing.is_empty() {
            // The groups need not be looked at.
            return None;
        }
        self.group(index).window
    }

    /// The window that closes first.
    pub fn first_window(&self) -> Option<WindowBounds> {
        self.closing.first().map(|(window, _)| *window)
    }

    /// The groups of a window.
    pub fn of_window(&self, window: WindowBounds) -> Vec<GroupIndex> {
        let groups = (window, GroupIndex::FIRST)..=(window, GroupIndex::LAST);
        let groups = self.closing.range(groups);
        groups.map(|(_, index)| *index).collect()
    }

    /// Removes a window that has closed, with its groups.
    pub fn close(&mut self, window: WindowBounds) {
        for index in self.of_window(window) {
            self.closing.remove(&(window, index));
            let GroupSlot { name, changed, .. } = *self.slot(index);
            for digest in std::mem::take(&mut self.group_mut(index).digests) {
                self.live.remove(&digest);
            }
            self.clear(index);
            self.index.remove(&name);
            if let Some(sessions) = self.sessions.get_mut(&name) {
                self.ended.note(name, window.end);
                sessions.retain(|known| *known != index);
                if sessions.is_empty() {
                    self.sessions.remove(&name);
                }
            }
            if let Some(all) = self.changed.as_mut().filter(|_| changed) {
                all.retain(|noted| *noted != index);
            }
        }
    }

    /// The starts of the windows that are open.
    pub fn open_starts(&self) -> impl Iterator<Item = i64> {
        self.closing.iter().map(|(window, _)| window.start)
    }

    /// When the next row leaves, or the next window closes.
    pub fn next(&self) -> Option<i64> {
        let closes = self.closing.first().map(|(window, _)| window.end);
        let leaves = self.queue.next();
        closes.into_iter().chain(leaves).min()
    }
}

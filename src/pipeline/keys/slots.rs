//! A slab in chunks: it never moves what it holds as it grows, and gives memory back as it empties.

/// How many places a chunk has.
const CHUNK: usize = 1 << 12;

/// Values by their places.
#[derive(Debug)]
pub(super) struct Slots<T> {
    chunks: Vec<Chunk<T>>,
    /// The chunks that have a free place, each of them once.
    open: Vec<u32>,
}

#[derive(Debug)]
struct Chunk<T> {
    slots: Vec<Slot<T>>,
    /// The first free place among them: one more than there are where none is free.
    free: u16,
    taken: u16,
}

#[derive(Debug)]
enum Slot<T> {
    Taken(T),
    /// The next free one.
    Free(u16),
}

/// No free place.
const NONE: u16 = u16::MAX;

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots {
            chunks: Vec::new(),
            open: Vec::new(),
        }
    }
}

fn split(place: u32) -> (usize, usize) {
    let place = place as usize;
    (place / CHUNK, place % CHUNK)
}

impl<T> Slots<T> {
    pub fn get(&self, place: u32) -> &T {
        let (chunk, at) = split(place);
        match &self.chunks[chunk].slots[at] {
            Slot::Taken(value) => value,
            Slot::Free(_) => unreachable!("a place is used while it is taken"),
        }
    }

    pub fn get_mut(&mut self, place: u32) -> &mut T {
        let (chunk, at) = split(place);
        match &mut self.chunks[chunk].slots[at] {
            Slot::Taken(value) => value,
            Slot::Free(_) => unreachable!("a place is used while it is taken"),
        }
    }

    /// Puts a value in; its place comes out.
    pub fn insert(&mut self, value: T) -> u32 {
        let number = match self.open.last() {
            Some(number) => *number as usize,
            None => {
                self.chunks.push(Chunk {
                    slots: Vec::new(),
                    free: NONE,
                    taken: 0,
                });
                self.open.push((self.chunks.len() - 1) as u32);
                self.chunks.len() - 1
            }
        };
        // A single one grows as it fills: most nodes have few keys.
        let grows = self.chunks.len() == 1;
        let chunk = &mut self.chunks[number];
        let at = match chunk.free {
            NONE => {
                if chunk.slots.capacity() == 0 && !grows {
                    chunk.slots.reserve_exact(CHUNK);
                }
                chunk.slots.push(Slot::Taken(value));
                chunk.slots.len() - 1
            }
            free => {
                let slot = &mut chunk.slots[usize::from(free)];
                if let Slot::Free(next) = std::mem::replace(slot, Slot::Taken(value)) {
                    chunk.free = next;
                }
                usize::from(free)
            }
        };
        chunk.taken += 1;
        if usize::from(chunk.taken) == CHUNK {
            self.open.pop();
        }
        (number * CHUNK + at) as u32
    }

    pub fn remove(&mut self, place: u32) -> T {
        let (number, at) = split(place);
        let alone = self.chunks.len() == 1;
        let chunk = &mut self.chunks[number];
        if usize::from(chunk.taken) == CHUNK {
            self.open.push(number as u32);
        }
        let slot = std::mem::replace(&mut chunk.slots[at], Slot::Free(chunk.free));
        chunk.free = at as u16;
        chunk.taken -= 1;
        if chunk.taken == 0 && !alone {
            chunk.slots = Vec::new();
            chunk.free = NONE;
        }
        match slot {
            Slot::Taken(value) => value,
            Slot::Free(_) => unreachable!("a place is used while it is taken"),
        }
    }
}

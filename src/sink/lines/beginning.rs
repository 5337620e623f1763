//! What happens to a file before its first line is written: it is emptied, or its last line is ended.
//!
//! Not earlier: a network that does not start changes no file. And once for all sinks of the process
//! that write the file, so that none removes the lines of another.

use parking_lot::Mutex;
use std::io;
use std::sync::{Arc, Weak};

/// A file, by device and inode.
pub(super) type Id = (u64, u64);

/// The part of a sink in the beginning of its file.
pub(super) struct Beginning(Arc<File>);

struct File {
    id: Id,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether one of the sinks overwrites it.
    overwrite: bool,
    begun: bool,
}

/// The files that sinks have opened.
static OPEN: Mutex<Vec<Weak<File>>> = Mutex::new(Vec::new());

impl Beginning {
    /// A sink has opened this file.
    pub fn join(id: Id, append: bool) -> Self {
        let mut open = OPEN.lock();
        open.retain(|file| file.strong_count() > 0);
        let known = open.iter().filter_map(Weak::upgrade).find(|f| f.id == id);
        let file = known.unwrap_or_else(|| {
            let file = Arc::new(File {
                id,
                state: Mutex::default(),
            });
            open.push(Arc::downgrade(&file));
            file
        });
        file.state.lock().overwrite |= !append;
        Beginning(file)
    }

    /// Begins the file, unless another sink has; `begin` gets whether it is to be emptied.
    ///
    /// # Errors
    /// Those of `begin`: then it is called again the next time.
    pub fn begin(&self, begin: impl FnOnce(bool) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.0.state.lock();
        if !state.begun {
            begin(state.overwrite)?;
            state.begun = true;
        }
        Ok(())
    }
}

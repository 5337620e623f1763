//! Where the VM of a node lives: on the node's thread. A VM cannot leave the thread on which it was
//! made, a node must be able to; so the node holds a number, and the thread holds the VM.

use super::vm::{NodeVm, Spec};
use crate::error::{Error, Result};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    /// The VMs of this thread: one on a thread of a network, all of them in a simulation.
    static VMS: RefCell<Vec<(u64, Rc<NodeVm>)>> = const { RefCell::new(Vec::new()) };
}

/// The way to the VM of one node.
pub(super) struct Home {
    id: u64,
    spec: Arc<Spec>,
}

impl Home {
    pub fn new(spec: Spec) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Home {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            spec: Arc::new(spec),
        }
    }

    pub fn spec(&self) -> &Arc<Spec> {
        &self.spec
    }

    /// Makes the VM, unless it is there.
    pub fn open(&self, kind: &str) -> Result<()> {
        match self.vm() {
            Ok(_) => Ok(()),
            Err(_) => self.renew(kind),
        }
    }

    /// Makes a new VM.
    pub fn renew(&self, kind: &str) -> Result<()> {
        self.leave();
        self.enter(NodeVm::new(&self.spec, kind)?);
        Ok(())
    }

    /// Puts another VM in the place of the one that is there.
    pub fn enter(&self, vm: NodeVm) {
        self.leave();
        let vm = Rc::new(vm);
        VMS.with_borrow_mut(|vms| vms.push((self.id, vm)));
    }

    /// The VM.
    #[inline]
    pub fn vm(&self) -> Result<Rc<NodeVm>> {
        VMS.with_borrow(|vms| {
            let vm = vms.iter().find(|(id, _)| *id == self.id);
            vm.map(|(_, vm)| vm.clone())
                .ok_or_else(|| Error::data("the node was opened on another thread"))
        })
    }

    fn leave(&self) {
        // On another thread there is nothing to drop; while a thread ends, it drops all it has. The
        // VM is dropped outside the borrow.
        let _gone = VMS.try_with(|vms| {
            let mut vms = vms.borrow_mut();
            let at = vms.iter().position(|(id, _)| *id == self.id)?;
            Some(vms.swap_remove(at))
        });
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.leave();
    }
}

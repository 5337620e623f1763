//! A window that is replaced, and its successor.
//!
//! The successor takes all that the other one has, and keeps it as it is until it begins, since the change may
//! be undone until then. Only the outbox works on meanwhile. Then it adapts what means the same to it: the
//! watermark, the windows that are open, what was emitted, and, where rows are not stored, the running state.
//! Where they are stored, it reads them.

use super::clock::WindowClock;
use super::storage::FormerStorage;
use super::{Emitter, Window};
use crate::store::Connection;
use crate::window::emission::{Emission, Heir, ScopeName};
use crate::window::failing::FailingGroups;
use crate::window::kind::WindowBounds;
use crate::window::outline::{StateTransfer, WindowOutline};
use crate::window::strategy::incremental::IncrementalState;
use crate::window::watermark::Watermark;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a window has, on its way to its successor.
pub(in crate::window) struct FormerWindow {
    outline: Arc<WindowOutline>,
    scope: Option<ScopeName>,
    /// Its connection, which may hold locks.
    connection: Option<Connection>,
    /// `None` once the successor has it.
    emitter: Option<Emitter>,
    storage: FormerStorage,
    watermark: Watermark,
    open: BTreeSet<WindowBounds>,
    failing: FailingGroups,
    incremental: Option<IncrementalState>,
}

impl FormerWindow {
    pub fn storage(&self) -> &FormerStorage {
        &self.storage
    }
}

impl Window {
    /// What the window has; it has nothing afterwards.
    pub(super) fn give_state(&mut self) -> Box<FormerWindow> {
        let empty = Emission::new(self.answering.emit, None, self.rules.kind.is_session());
        let emitter = std::mem::replace(&mut self.emitter, Emitter::new(empty));
        let connection = self.connection.take();
        // It has not begun: it still has what it has taken.
        if let Some(mut former) = self.former.take() {
            former.connection = connection;
            former.emitter = Some(emitter);
            return former;
        }
        let rebuilt = self.storage.stored;
        Box::new(FormerWindow {
            outline: self.outline.clone(),
            scope: self.scope.clone(),
            connection,
            emitter: Some(emitter),
            storage: self.storage.hand_over(),
            watermark: self.clock.watermark.clone(),
            open: std::mem::take(&mut self.batch.progress.open),
            failing: std::mem::take(&mut self.answering.failing),
            incremental: self.answering.incremental.take_if(|_| !rebuilt),
        })
    }

    /// Takes what another window has.
    ///
    /// # Errors
    /// The same, where that is about other rows.
    pub(super) fn take_state(
        &mut self,
        mut former: Box<FormerWindow>,
    ) -> Result<(), Box<FormerWindow>> {
        if Arc::ptr_eq(&former.outline, &self.outline) {
            self.take_back(*former);
            return Ok(());
        }
        if !self.outline.has_same_rows(&former.outline) {
            return Err(former);
        }
        former.connection = None;
        if let Some(emitter) = former.emitter.take() {
            self.emitter = emitter;
        }
        self.former = Some(former);
        Ok(())
    }

    /// Takes back what it gave.
    fn take_back(&mut self, former: FormerWindow) {
        self.connection = former.connection;
        if let Some(emitter) = former.emitter {
            self.emitter = emitter;
        }
        self.storage.inherit(former.storage);
        self.batch.inherit(former.open);
        self.answering.failing = former.failing;
        if former.incremental.is_some() {
            self.answering.incremental = former.incremental;
        }
    }

    /// Makes what it has taken its own.
    pub(super) fn inherit(&mut self) {
        let Some(former) = self.former.take() else {
            return;
        };
        let FormerWindow {
            outline: other,
            scope,
            storage,
            watermark,
            open,
            failing,
            incremental,
            ..
        } = *former;
        if let (Some(own), Some(other)) = (&mut self.scope, scope)
            && own.wanted == other.wanted
        {
            *own = other;
        }
        let own = &self.outline;
        let comparable = own.has_same_groups(&other);
        self.emitter.emission.adapt(&Heir {
            mode: self.answering.emit,
            is_session: self.rules.kind.is_session(),
            scope: self.scope.as_ref(),
            comparable,
            same_columns: own.columns == other.columns,
        });
        if own.has_same_clock(&other) {
            self.clock.inherit(watermark);
        }
        if own.has_same_windows(&other) {
            self.batch.inherit(open);
        }
        if comparable {
            self.answering.failing = failing;
        }
        let both_unstored = !storage.stored && !self.storage.stored;
        self.storage.inherit(storage);
        if both_unstored
            && let (Some(state), Some(other_state)) = (&mut self.answering.incremental, incremental)
            && let Some(StateTransfer { places, later }) = own.transfer(&other)
        {
            state.inherit(other_state, &places, later);
        }
    }
}

impl WindowClock {
    fn inherit(&mut self, watermark: Watermark) {
        self.watermark.inherit(watermark);
        self.before = self.watermark.clone();
    }
}

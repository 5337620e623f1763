//! The file of a link that spills: a ring of blocks, each a batch.
//!
//! The file has no name, so that it is gone with the process however that ends. Offsets and
//! acks are kept in memory only: the source of a tracked event that is lost with the process sends it
//! again. Nothing is synced.

use super::options::Spill;
use crate::ack::Ack;
use crate::event::{Batch, Event, Meta};
use crate::payload::Payload;
use crate::time::Timestamp;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// How much of the disk an empty file may keep.
const KEPT: u64 = 16 << 20;

/// A batch in the file.
pub(super) struct Block {
    offset: u64,
    bytes: usize,
    pub events: usize,
    /// Of all of them, or of none.
    acks: Vec<Ack>,
}

pub(super) struct SpillFile {
    file: Arc<File>,
    size: u64,
    /// Where the next block goes, and where the oldest begins.
    write: u64,
    read: u64,
    blocks: usize,
    buffer: Vec<u8>,
}

impl SpillFile {
    pub fn new(spill: &Spill) -> io::Result<Self> {
        let file = tempfile::tempfile_in(spill.directory())?;
        Ok(SpillFile {
            file: Arc::new(file),
            size: spill.size,
            write: 0,
            read: 0,
            blocks: 0,
            buffer: Vec::new(),
        })
    }

    /// To read blocks from.
    pub fn file(&self) -> Arc<File> {
        self.file.clone()
    }

    /// Writes a batch; it comes back where there is no room, or the disk refuses it.
    pub fn put(&mut self, batch: Batch) -> Result<Block, (Batch, Option<io::Error>)> {
        self.buffer.clear();
        for event in batch.events() {
            encode(event, &mut self.buffer);
        }
        let Some(offset) = self.room(self.buffer.len() as u64) else {
            return Err((batch, None));
        };
        if let Err(error) = self.file.write_all_at(&self.buffer, offset) {
            return Err((batch, Some(error)));
        }
        let bytes = self.buffer.len();
        self.write = offset + bytes as u64;
        self.blocks += 1;
        let events = batch.len();
        let acks = if batch.events().iter().any(Event::is_tracked) {
            let parts = batch.into_iter().map(Event::into_parts);
            parts.map(|(_, _, _, ack)| ack).collect()
        } else {
            Vec::new()
        };
        Ok(Block {
            offset,
            bytes,
            events,
            acks,
        })
    }

    /// Where so many bytes can be written.
    fn room(&mut self, bytes: u64) -> Option<u64> {
        if self.blocks == 0 {
            (self.write, self.read) = (0, 0);
        }
        let at_the_end = self.blocks == 0 || self.write > self.read;
        match at_the_end {
            true if self.write + bytes <= self.size => Some(self.write),
            true => (bytes <= self.read).then_some(0),
            false => (self.write + bytes <= self.read).then_some(self.write),
        }
    }

    /// The oldest block was read, and ended here.
    pub fn free(&mut self, end: u64) {
        self.read = end;
        self.blocks -= 1;
        if self.blocks == 0 && self.write > KEPT {
            // What cannot be given back is written over.
            let _ = self.file.set_len(0);
        }
    }
}

impl Block {
    pub fn end(&self) -> u64 {
        self.offset + self.bytes as u64
    }

    /// The batch.
    ///
    /// # Errors
    /// An error of the disk; then its events are lost, and those that are tracked have failed.
    pub fn read(self, file: &File) -> io::Result<Batch> {
        let mut buffer = vec![0; self.bytes];
        file.read_exact_at(&mut buffer, self.offset)?;
        let mut batch = Batch::with_capacity(self.events);
        let (mut rest, mut acks) = (buffer.as_slice(), self.acks.into_iter());
        for _ in 0..self.events {
            let ack = acks.next().unwrap_or(Ack::none());
            let event = decode(&mut rest, ack);
            batch.push(event.ok_or(io::ErrorKind::InvalidData)?);
        }
        Ok(batch)
    }
}

fn encode(event: &Event, to: &mut Vec<u8>) {
    let meta = event.meta().to_json().unwrap_or_default();
    let payload = event.payload().bytes();
    to.extend(event.time().as_micros().to_le_bytes());
    to.extend((payload.len() as u64).to_le_bytes());
    to.extend((meta.len() as u64).to_le_bytes());
    to.extend(payload);
    to.extend(meta.as_bytes());
}

fn decode(from: &mut &[u8], ack: Ack) -> Option<Event> {
    let time = i64::from_le_bytes(number(from)?);
    let payload = usize::try_from(u64::from_le_bytes(number(from)?)).ok()?;
    let meta = usize::try_from(u64::from_le_bytes(number(from)?)).ok()?;
    let (payload, rest) = from.split_at_checked(payload)?;
    let (meta, rest) = rest.split_at_checked(meta)?;
    *from = rest;
    let meta = match meta {
        [] => Meta::default(),
        text => Meta::from_json(std::str::from_utf8(text).ok()?)?,
    };
    let time = Timestamp::from_micros(time);
    Some(Event::from_parts(Payload::from(payload), time, meta, ack))
}

fn number(from: &mut &[u8]) -> Option<[u8; 8]> {
    let (number, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*number)
}

/// The events of spilled bytes, written again; `None` where they are something else. For fuzz targets.
pub fn spilled(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut again = Vec::new();
    while !bytes.is_empty() {
        encode(&decode(&mut bytes, Ack::none())?, &mut again);
    }
    Some(again)
}

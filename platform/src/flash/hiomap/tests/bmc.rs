//! A BMC with windows, for tests.
extern crate std;
use super::super::message::State;
use super::super::*;
use core::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

pub const BLOCK: u64 = 4096;
pub const BLOCKS: usize = 64;
pub const FLASH_BYTES: u64 = BLOCKS as u64 * BLOCK;
/// A block is one number here.
pub type Blocks = [u32; BLOCKS];

/// A BMC whose windows have at most so many blocks, begin so many before what was asked for, and lie elsewhere each
/// time.
pub struct Bmc {
    pub flash: RefCell<Blocks>,
    /// What the window has, and where: its place in the firmware space, in the flash, its length.
    pub window: RefCell<Option<(u16, u16, u16, bool)>>,
    pub seen: RefCell<Blocks>,
    pub dirty: RefCell<Vec<usize>>,
    pub events: RefCell<VecDeque<u8>>,
    pub acknowledged: Cell<u8>,
    pub windows: Cell<u16>,
    pub most_blocks: u16,
    pub before: u16,
    /// Each answer comes at the second look.
    pub is_slow: bool,
    pub looked: Cell<bool>,
}

impl Bmc {
    pub fn new(most_blocks: u16, before: u16) -> Self {
        Self {
            flash: RefCell::new(core::array::from_fn(|block| block as u32)),
            window: RefCell::new(None),
            seen: RefCell::new([0; BLOCKS]),
            dirty: RefCell::new(Vec::new()),
            events: RefCell::new(VecDeque::new()),
            acknowledged: Cell::new(0),
            windows: Cell::new(0),
            most_blocks,
            before,
            is_slow: false,
            looked: Cell::new(false),
        }
    }

    pub fn tell(&self, windows: &mut Windows, event: u8) {
        if event & (State::PROTOCOL_RESET | State::WINDOW_RESET) != 0 {
            *self.window.borrow_mut() = None;
            self.dirty.borrow_mut().clear();
        }
        self.events.borrow_mut().push_back(event);
        windows.look(false);
        windows.look(true);
    }

    pub fn exchange(&self, request: &Message) -> Option<Message> {
        if self.is_slow && !self.looked.replace(!self.looked.get()) {
            return None;
        }
        let answer = match request.command {
            0x35 => self.event(),
            _ => self.command(request.data()),
        };
        Message::new(request.function | 4, request.command, &answer)
    }

    pub fn event(&self) -> Vec<u8> {
        let Some(event) = self.events.borrow_mut().pop_front() else {
            return vec![0x80];
        };
        let mut record = vec![0; 17];
        record[3] = 0xc0;
        record[11..14].copy_from_slice(&[0x3a, 0x0f, event]);
        record
    }

    pub fn command(&self, data: &[u8]) -> Vec<u8> {
        let number = |at: usize| u16::from_le_bytes([data[at], data[at + 1]]);
        let mut answer = vec![0, data[0], data[1]];
        let numbers = |numbers: &[u16]| {
            numbers
                .iter()
                .flat_map(|n| n.to_le_bytes())
                .collect::<Vec<_>>()
        };
        match (data[0], data.len()) {
            (2, 3) => answer.extend([2, 12, 0, 0]),
            (3, 2) => answer.extend(numbers(&[BLOCKS as u16, 1])),
            (4 | 6, 6) => {
                let window = self.open(number(2), number(4), data[0] == 6);
                answer.extend(numbers(&[window.0, window.2, window.1]));
            }
            (7, 6) if self.marks(number(2), number(4)) => {}
            (8, 2) if self.flushes() => {}
            (9, 3) => self.acknowledged.set(self.acknowledged.get() | data[2]),
            _ => answer[0] = 0xcc,
        }
        answer
    }

    pub fn open(&self, at: u16, len: u16, is_writable: bool) -> (u16, u16, u16, bool) {
        assert!(usize::from(at) < BLOCKS && len > 0);
        self.flushes();
        let first = at.saturating_sub(self.before);
        let len = self
            .most_blocks
            .max(at - first + 1)
            .min(BLOCKS as u16 - first);
        self.windows.set(self.windows.get() + 1);
        let lpc = 100 + 7 * (self.windows.get() % 50);
        *self.seen.borrow_mut() = *self.flash.borrow();
        let window = (lpc, first, len, is_writable);
        *self.window.borrow_mut() = Some(window);
        window
    }

    pub fn marks(&self, at: u16, len: u16) -> bool {
        let Some((_, first, all, true)) = *self.window.borrow() else {
            return false;
        };
        let blocks = usize::from(first + at)..usize::from(first + at + len);
        self.dirty.borrow_mut().extend(blocks);
        len > 0 && at + len <= all
    }

    pub fn flushes(&self) -> bool {
        let is_writable = matches!(*self.window.borrow(), Some((.., true)));
        for block in self.dirty.borrow_mut().drain(..) {
            self.flash.borrow_mut()[block] = self.seen.borrow()[block];
        }
        is_writable
    }

    /// What is at a place of the firmware space.
    pub fn block(&self, lpc_bytes: u64, writes: bool) -> usize {
        let (lpc, first, len, is_writable) = self.window.borrow().expect("a window");
        let into = (lpc_bytes / BLOCK) - u64::from(lpc);
        assert!(into < u64::from(len) && (is_writable || !writes));
        usize::from(first) + into as usize
    }

    pub fn wait(&self, windows: &mut Windows, need: Need) -> Result<Option<Window>, HiomapError> {
        for _ in 0..100 {
            if let Some(Reached(window)) = windows.step(need, |request| self.exchange(request))? {
                return Ok(window);
            }
        }
        panic!("no end");
    }

    pub fn read(&self, windows: &mut Windows, block: u64) -> Result<u32, HiomapError> {
        let at = block * BLOCK + 8;
        let window = self.wait(windows, Need::Read(at, FLASH_BYTES - at))?;
        let (lpc, left) = window.unwrap().find(at).unwrap();
        assert!(left > 0 && lpc % BLOCK == 8);
        Ok(self.seen.borrow()[self.block(lpc, false)])
    }

    pub fn put(&self, windows: &mut Windows, block: u64, value: u32) -> Result<(), HiomapError> {
        let at = block * BLOCK;
        let window = self.wait(windows, Need::Write(at, BLOCK))?;
        let (lpc, _) = window.unwrap().find(at).unwrap();
        self.seen.borrow_mut()[self.block(lpc, true)] = value;
        windows.wrote(at + 4..at + 8);
        Ok(())
    }

    pub fn flush(&self, windows: &mut Windows) -> Result<(), HiomapError> {
        self.wait(windows, Need::Flushed).map(drop)
    }
}

//! The last acts of a core.
use alloc::collections::VecDeque;
use alloc::string::String;

use images::host_runtime::sync::Lock;
use images::println;

const ACTS: usize = 40;

/// When, with which guest, and what, or what was wrong.
type Entry = (u64, usize, Result<&'static str, String>);

pub struct Diary(Lock<VecDeque<Entry>>);

impl Default for Diary {
    fn default() -> Self {
        Self(Lock::new(VecDeque::with_capacity(ACTS)))
    }
}

impl Diary {
    pub fn note(&self, now_tb: u64, guest: usize, done: Result<&'static str, &String>) {
        let mut acts = self.0.lock();
        if acts.len() == ACTS {
            acts.pop_front();
        }
        acts.push_back((now_tb, guest, done.map_err(String::clone)));
    }

    pub fn print(&self) {
        for (tb, guest, done) in self.0.lock().iter() {
            match done {
                Ok(act) => println!("  {tb:#x}: guest {guest}: {act}"),
                Err(why) => println!("  {tb:#x}: guest {guest}: {why}"),
            }
        }
    }
}

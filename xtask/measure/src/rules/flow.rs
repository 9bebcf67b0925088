//! Who has each thread: the firmware, a guest, a host, or nobody, since it naps.
//!
//! The log holds the instructions of hypervisor state alone, and of a host only those in the vector
//! page. Where a thread goes is known from the instruction that leads out; where it comes from,
//! from how it went out.
use std::ops::Range;

use anyhow::Result;

use super::decode::{Op, decode};
use crate::bench::code::{Code, VECTOR_PAGE_BYTES, real};
use crate::bench::exec_log;

/// Threads of a core; QEMU numbers a core's threads one after the other.
pub const THREADS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    Firmware,
    Guest,
    Host,
    /// In the vector page while a host has the core: in the host's, or still in the firmware's, if that
    /// is how this thread has translated its address.
    Astray,
    Napping,
}

/// An instruction of the firmware's.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub core: usize,
    /// Its thread's number in the core.
    pub thread: usize,
    /// The real address.
    pub pc: u64,
    pub op: Op,
    /// The first in the firmware since the thread was elsewhere: where.
    pub from: Option<World>,
    /// The last one in the firmware: where the thread goes.
    pub to: Option<World>,
}

/// Code from which a thread leaves the firmware.
#[derive(Clone, Debug)]
pub struct Ways {
    /// The way into a guest.
    pub guest: Range<u64>,
    /// The return from a call.
    pub call: Range<u64>,
    /// The way into a host that starts.
    pub host: Range<u64>,
    /// Where a host's vectors send a thread that isn't the host's.
    pub back: u64,
}

impl Ways {
    pub fn new(code: &Code<'_>) -> Result<Self> {
        let enter_host = code.symbol("enter_host")?;
        Ok(Self {
            guest: code.symbol("guest_enter")?..code.symbol("guest_left")?,
            call: code.symbol("opal_entry")?..enter_host,
            host: enter_host..enter_host + 0x100,
            back: code.symbol("renap")?,
        })
    }

    fn out(&self, pc: u64, op: Op) -> Option<World> {
        match op {
            Op::Nap => Some(World::Napping),
            Op::Hrfid if self.guest.contains(&pc) => Some(World::Guest),
            Op::Hrfid if self.host.contains(&pc) => Some(World::Host),
            Op::Return if self.call.contains(&pc) => Some(World::Host),
            _ => None,
        }
    }
}

/// Follows all threads of a machine.
pub struct Flow {
    ways: Ways,
    worlds: Vec<[World; THREADS]>,
}

impl Flow {
    pub fn new(ways: Ways, cores: usize) -> Self {
        Self {
            ways,
            worlds: vec![[World::Firmware; THREADS]; cores],
        }
    }

    /// Who has the threads of a core.
    pub fn worlds(&self, core: usize) -> [World; THREADS] {
        self.worlds[core]
    }

    /// The firmware's next instruction, or none if it is a host's.
    pub fn take(&mut self, step: exec_log::Step, word: impl Fn(u64) -> u32) -> Option<Step> {
        let cpu = step.cpu as usize;
        let (core, thread) = (cpu / THREADS, cpu % THREADS);
        let low = step.pc < VECTOR_PAGE_BYTES;
        // HRMOR is the core's: while a host has it, low addresses are the host's.
        let hosts_vectors = self.worlds[core].contains(&World::Host);
        let world = &mut self.worlds[core][thread];
        let from = match *world {
            World::Host | World::Astray if low => return None,
            World::Guest | World::Napping if low && hosts_vectors => {
                *world = World::Astray;
                return None;
            }
            World::Firmware => None,
            elsewhere => Some(elsewhere),
        };
        let pc = real(step.pc);
        let from = match from {
            Some(World::Astray) if pc & !0x3f != self.ways.back & !0x3f => Some(World::Napping),
            from => from,
        };
        let op = decode(word(pc));
        let to = self.ways.out(pc, op);
        *world = to.unwrap_or(World::Firmware);
        Some(Step {
            core,
            thread,
            pc,
            op,
            from,
            to,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAP: u32 = 0x4c00_0364;
    const HRFID: u32 = 0x4c00_0224;
    const BLR: u32 = 0x4e80_0020;
    const NOP: u32 = 0x6000_0000;

    fn flow() -> Flow {
        let ways = Ways {
            guest: 0x1000..0x1100,
            call: 0x2000..0x2100,
            host: 0x2100..0x2200,
            back: 0x3000,
        };
        Flow::new(ways, 2)
    }

    fn take(
        flow: &mut Flow,
        cpu: u32,
        pc: u64,
        word: u32,
    ) -> Option<(Option<World>, Option<World>)> {
        let step = exec_log::Step {
            cpu,
            pc: pc | 1 << 63,
        };
        let step = flow.take(step, |_| word)?;
        Some((step.from, step.to))
    }

    /// In the vector page.
    fn take_low(flow: &mut Flow, cpu: u32, word: u32) -> Option<(Option<World>, Option<World>)> {
        let step = exec_log::Step { cpu, pc: 0x100 };
        let step = flow.take(step, |_| word)?;
        Some((step.from, step.to))
    }

    #[test]
    fn threads_go_and_come_back() {
        let mut flow = flow();
        for (pc, word, world) in [
            (0x1010, HRFID, World::Guest),
            (0x2010, BLR, World::Host),
            (0x2110, HRFID, World::Host),
            (0x3000, NAP, World::Napping),
        ] {
            assert_eq!(take(&mut flow, 1, pc, word), Some((None, Some(world))));
            assert_eq!(flow.worlds(0)[1], world);
            assert_eq!(take(&mut flow, 1, 0x3000, NOP), Some((Some(world), None)));
            assert_eq!(flow.worlds(0)[1], World::Firmware);
        }
    }

    #[test]
    fn other_jumps_stay() {
        let mut flow = flow();
        for (pc, word) in [(0x3000, HRFID), (0x3000, BLR), (0x1010, BLR), (0x1010, NOP)] {
            assert_eq!(take(&mut flow, 0, pc, word), Some((None, None)));
        }
    }

    #[test]
    fn a_hosts_vectors_are_its_own() {
        let mut flow = flow();
        take(&mut flow, 1, 0x3000, NAP);
        assert_eq!(
            take_low(&mut flow, 1, NOP),
            Some((Some(World::Napping), None))
        );
        take(&mut flow, 1, 0x3000, NAP);
        take(&mut flow, 0, 0x2010, BLR);
        assert_eq!(take_low(&mut flow, 0, NOP), None);
        assert_eq!(take_low(&mut flow, 1, NOP), None);
        assert_eq!(flow.worlds(0)[1], World::Astray);
        let back = take(&mut flow, 1, 0x3024, NOP);
        assert_eq!(back, Some((Some(World::Astray), None)));
    }

    /// It has woken by a translation of the firmware's vectors.
    #[test]
    fn not_every_thread_goes_astray() {
        let mut flow = flow();
        take(&mut flow, 1, 0x3000, NAP);
        take(&mut flow, 0, 0x2010, BLR);
        assert_eq!(take_low(&mut flow, 1, NOP), None);
        let woken = take(&mut flow, 1, 0x4000, NOP);
        assert_eq!(woken, Some((Some(World::Napping), None)));
    }

    #[test]
    fn cores_are_apart() {
        let mut flow = flow();
        take(&mut flow, 9, 0x1010, HRFID);
        assert_eq!(flow.worlds(1)[1], World::Guest);
        assert_eq!(flow.worlds(0)[1], World::Firmware);
    }
}

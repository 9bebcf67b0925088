//! Names of states.

use super::state::{At, Config, Core, Host, Reason, Runner, State, Then};

/// A state's name: 128 bits of hash, by which alone it is remembered. That two of some ten million
/// states have the same is a matter of 1 to 10^24.
pub type Name = u128;

/// The name of a state of this model.
pub fn name(config: &Config, state: &State) -> Name {
    let mut namer = Namer(0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93);
    namer.add(state.roster);
    namer.add(state.entry);
    let mut rest = u64::from(state.runs_on);
    for page in state.pages {
        rest = rest << 3 | u64::from(page.prodded) << 2;
        rest |= u64::from(page.owed) << 1 | u64::from(page.kicked);
    }
    namer.add(rest);
    for host in state.hosts {
        namer.add(host_code(host));
    }
    for core in &state.cores[..config.cores] {
        add_core(&mut namer, core);
    }
    u128::from(namer.0) << 64 | u128::from(namer.1)
}

fn add_core(namer: &mut Namer, core: &Core) {
    namer.add(core.queue);
    let masks = core.masks();
    let flags = [core.over, core.left, core.merged];
    let masks = masks
        .into_iter()
        .fold(0, |all, mask| all << 8 | u64::from(mask));
    namer.add(
        flags
            .into_iter()
            .fold(masks, |all, flag| all << 1 | u64::from(flag)),
    );
    namer.add(runner_code(core.runner));
    for pair in core.threads.chunks(2) {
        let thread = |all, thread: &super::state::Thread| {
            let marks = u64::from(thread.letter) << 4 | u64::from(thread.seat);
            all << 24 | at_code(thread.at) << 12 | u64::from(thread.ipi) << 8 | marks
        };
        namer.add(pair.iter().fold(0, thread));
    }
}

fn at_code(at: At) -> u64 {
    match at {
        At::Idle => 0,
        At::Entering => 1,
        At::Noting => 2,
        At::Late => 3,
        At::Guest => 4,
        At::Polled(ipi) => 5 + u64::from(ipi),
        At::Awaiting(then) => match then {
            Then::Look => 7,
            Then::TakeProd => 8,
            Then::Report => 9,
        },
        At::Looking => 10,
        At::Ticked => 11,
        At::Armed => 12,
        At::Rearming => 13,
        At::Dozing => 14,
        At::Waking => 15,
        At::TakingProd => 16,
        At::Woken(prodded) => 17 + u64::from(prodded),
        At::Leaving(reason) => 19 + reason_code(reason),
        At::LeavingLate(reason) => 22 + reason_code(reason),
        At::Pulling { rouse, called } => 25 + (u64::from(rouse) << 1 | u64::from(called)),
        At::Rousing { called } => 29 + u64::from(called),
        At::Reporting => 31,
    }
}

fn reason_code(reason: Reason) -> u64 {
    match reason {
        Reason::Exit => 0,
        Reason::Ceded => 1,
        Reason::Stay => 2,
    }
}

fn runner_code(runner: Runner) -> u64 {
    match runner {
        Runner::Free => 0,
        Runner::Assigning => 1,
        Runner::Opening => 2,
        Runner::Looking => 3,
        Runner::Requesting => 4,
        Runner::Calling => 5,
        Runner::Waiting => 6,
        Runner::Ending(told) => 7 | u64::from(told) << 8,
        Runner::Refusing(kicked) => 8 | u64::from(kicked) << 8,
        Runner::TellingLate(kicked) => 9 | u64::from(kicked) << 8,
    }
}

fn host_code(host: Host) -> u64 {
    let (kind, generation, more) = match host {
        Host::Free => (0, 0, 0),
        Host::Joined => (1, 0, 0),
        Host::Kicking => (2, 0, 0),
        Host::Raised { generation, .. } => (3, generation, 0),
        Host::BringingOut { generation, .. } => (4, generation, 0),
        Host::Joining {
            generation, core, ..
        } => (5, generation, core),
        Host::Posting {
            generation, ptid, ..
        } => (6, generation, ptid),
    };
    kind | u64::from(host.slots()) << 8 | u64::from(generation) << 16 | u64::from(more) << 32
}

/// Two multiplicative hashes side by side.
struct Namer(u64, u64);

impl Namer {
    fn add(&mut self, word: u64) {
        self.0 = folded(self.0 ^ word, 0xa076_1d64_78bd_642f);
        self.1 = folded(self.1.rotate_left(32) ^ word, 0xe703_7ed1_a0b4_28db);
    }
}

/// Both halves of the product in one.
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

//! Each step on each word that two threads can make: what it answers, and what the word is then.
//!
//! The rules are written once more here, thread by thread.
use super::*;

/// One thread's bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bits {
    exited: bool,
    outstanding: bool,
    entered: bool,
    ceded: bool,
    called: bool,
    prodded: bool,
}

impl Bits {
    fn of(number: u32) -> Self {
        let bit = |place: u32| number >> place & 1 != 0;
        Self {
            exited: bit(0),
            outstanding: bit(1),
            entered: bit(2),
            ceded: bit(3),
            called: bit(4),
            prodded: bit(5),
        }
    }

    fn in_guest(self) -> bool {
        self.entered && !self.exited && !self.ceded
    }
}

/// The whole word: two threads, the request, a run's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Whole {
    threads: [Bits; 2],
    request: bool,
}

const PTIDS: [usize; 2] = [1, 6];
const GENERATION: u64 = 0x5a5a & 0x7fff;

impl Whole {
    fn all() -> impl Iterator<Item = Self> {
        (0..1 << 13).map(|number: u32| Self {
            threads: [Bits::of(number), Bits::of(number >> 6)],
            request: number >> 12 != 0,
        })
    }

    fn word(self) -> u64 {
        let mut word = GENERATION << 49 | u64::from(self.request) << 8;
        for (bits, ptid) in self.threads.into_iter().zip(PTIDS) {
            word |= u64::from(bits.exited) << ptid;
            word |= u64::from(bits.outstanding) << (9 + ptid);
            word |= u64::from(bits.entered) << (17 + ptid);
            word |= u64::from(bits.ceded) << (25 + ptid);
            word |= u64::from(bits.called) << (33 + ptid);
            word |= u64::from(bits.prodded) << (41 + ptid);
        }
        word
    }

    fn entry(self) -> Entry {
        Entry::with(self.word())
    }

    /// The mask of threads for which `is` holds.
    fn mask(self, is: impl Fn(Bits) -> bool) -> Mask {
        let mut mask = 0;
        for (bits, ptid) in self.threads.into_iter().zip(PTIDS) {
            mask |= u8::from(is(bits)) << ptid;
        }
        mask
    }

    fn any(self, is: impl Fn(Bits) -> bool) -> bool {
        self.threads.into_iter().any(is)
    }

    fn leaving(self) -> bool {
        self.request || self.any(|bits| bits.exited)
    }
}

/// The step `act` on every word, for both threads, answers and leaves behind what `rule` says.
#[track_caller]
fn each<T: core::fmt::Debug + PartialEq>(
    act: impl Fn(&Entry, usize) -> T,
    rule: impl Fn(&mut Whole, usize) -> T,
) {
    for before in Whole::all() {
        for (me, ptid) in PTIDS.into_iter().enumerate() {
            let entry = before.entry();
            let answer = act(&entry, ptid);
            let mut after = before;
            let wanted = rule(&mut after, me);
            assert_eq!(answer, wanted, "{before:?}, thread {me}");
            assert_eq!(
                entry.snapshot(),
                Snapshot(after.word()),
                "{before:?}, thread {me}"
            );
        }
    }
}

#[test]
fn fields_are_where_the_table_has_them() {
    for whole in Whole::all() {
        let now = whole.entry().snapshot();
        assert_eq!(now.exited(), whole.mask(|bits| bits.exited));
        assert_eq!(now.outstanding(), whole.mask(|bits| bits.outstanding));
        assert_eq!(now.entered(), whole.mask(|bits| bits.entered));
        assert_eq!(now.ceded(), whole.mask(|bits| bits.ceded));
        assert_eq!(now.called(), whole.mask(|bits| bits.called));
        assert_eq!(now.prodded(), whole.mask(|bits| bits.prodded));
        assert_eq!(now.in_guest(), whole.mask(Bits::in_guest));
        assert_eq!(u64::from(now.generation()), GENERATION);
        assert_eq!(now.leaving(), whole.leaving());
        for ptid in PTIDS {
            let (presented, called) = whole.entry().polled(ptid, || 7);
            assert_eq!((presented, called), (7, now.called() >> ptid & 1 != 0));
        }
        assert_eq!(whole.entry().leaving_after_barrier(), whole.leaving());
    }
}

#[test]
fn a_run_opens_with_who_is_called() {
    for generation in [0, 1, 2, 3, 0x7ffe, 0x7fff] {
        let entry = Whole::all().last().unwrap().entry();
        entry.open(generation, 0b1000_0001);
        let word = u64::from(generation) << 49 | 0b1000_0001 << 9;
        assert_eq!(entry.snapshot(), Snapshot(word));
        for other in 0..4 {
            assert_eq!(entry.is_open(other), generation & 3 == other);
        }
    }
}

#[test]
fn entering() {
    each(Entry::enter, |word, me| {
        let may = !word.leaving() && word.threads[me].outstanding;
        word.threads[me].entered |= may;
        may
    });
}

#[test]
fn leaving() {
    let told = |leave: Leave| {
        let siblings = (leave.in_guest(), leave.ceded());
        (
            leave.first(),
            siblings,
            leave.called(),
            leave.prodded(),
            leave.owes(),
        )
    };
    each(
        |entry, me| told(entry.leave(me)),
        |word, me| {
            let mine = word.threads[me];
            let mut others = *word;
            others.threads[me] = Bits::default();
            let first = !word.any(|bits| bits.exited);
            let siblings = (others.mask(Bits::in_guest), word.any(|bits| bits.ceded));
            let owes = mine.called || mine.prodded || first && (siblings.0 != 0 || siblings.1);
            word.threads[me].exited = true;
            (first, siblings, mine.called, mine.prodded, owes)
        },
    );
}

#[test]
fn ceding() {
    each(Entry::cede, |word, me| {
        let alone = word.mask(Bits::in_guest) == 1 << PTIDS[me];
        let on_the_way = word.any(|bits| bits.outstanding && !bits.entered);
        let leaving = word.leaving();
        let mine = &mut word.threads[me];
        if mine.prodded {
            mine.prodded = false;
            Cede::Prodded
        } else if leaving {
            Cede::Leaving
        } else if mine.called {
            Cede::Called
        } else if alone && !on_the_way {
            Cede::AllCeded
        } else {
            mine.ceded = true;
            Cede::Nap
        }
    });
    each(Entry::uncede, |word, me| {
        !core::mem::take(&mut word.threads[me].ceded)
    });
}

#[test]
fn prodding() {
    each(Entry::prod, |word, it| {
        let leaving = word.leaving();
        let its = &mut word.threads[it];
        if leaving || !(its.entered || its.outstanding) {
            return Prod::NotHere;
        }
        its.prodded = true;
        if !core::mem::take(&mut its.ceded) {
            return Prod::Noted;
        }
        its.called = true;
        Prod::Wake
    });
    each(Entry::take_prod, |word, me| {
        core::mem::take(&mut word.threads[me].prodded)
    });
    each(Entry::note_prod, |word, me| word.threads[me].prodded = true);
}

#[test]
fn answering_and_reporting() {
    each(Entry::answered, |word, me| word.threads[me].called = false);
    each(Entry::report, |word, me| {
        word.threads[me].outstanding = false
    });
}

fn call(bits: &mut Bits) {
    bits.ceded = false;
    bits.called = true;
}

#[test]
fn waking_who_has_ceded() {
    each(
        |entry, _| entry.wake_ceded(),
        |word, _| {
            let ceded = word.mask(|bits| bits.ceded);
            let of_those = word.threads.iter_mut().filter(|bits| bits.ceded);
            of_those.for_each(call);
            ceded
        },
    );
}

#[test]
fn requests() {
    each(
        |entry, _| entry.request(),
        |word, _| {
            if !word.any(|bits| bits.outstanding) {
                return Request::NotRunning;
            }
            if word.leaving() {
                return Request::Noted;
            }
            word.request = true;
            // The second one has the higher number.
            let awake = |bits: &Bits| bits.in_guest() && !bits.called;
            let last = |is: &dyn Fn(&Bits) -> bool| word.threads.iter().rposition(is);
            let Some(it) = last(&awake).or_else(|| last(&|bits| bits.ceded)) else {
                return Request::Noted;
            };
            call(&mut word.threads[it]);
            Request::Wake(PTIDS[it])
        },
    );
}

#[test]
fn pokes() {
    each(
        |entry, it| entry.poke(entry.snapshot(), Some(it)),
        |word, it| {
            let calm = !word.leaving() && !word.threads[it].called;
            let sees_nothing = word.threads[it].in_guest() || word.threads[it].ceded;
            if !calm || !sees_nothing {
                return Some(Request::Noted);
            }
            call(&mut word.threads[it]);
            Some(Request::Wake(PTIDS[it]))
        },
    );
    each(
        |entry, _| entry.poke(entry.snapshot(), None),
        |_, _| Some(Request::NotRunning),
    );
    // The word has changed since: look again.
    each(
        |entry, it| entry.poke(Snapshot(entry.snapshot().0 ^ 1 << 48), Some(it)),
        |_, _| None,
    );
}

#[test]
fn late_joiners_get_their_own_thread_or_the_lowest_free_one() {
    for threads in [0b0000_0010, 0b0100_0010, 0b0100_0000, 0] {
        for before in Whole::all() {
            let free = |ptid: usize| {
                let place = PTIDS.iter().position(|it| *it == ptid);
                let is_used = |place: usize| {
                    let bits = before.threads[place];
                    bits.outstanding || bits.entered
                };
                threads >> ptid & 1 != 0 && !place.is_some_and(is_used)
            };
            let runs = !before.leaving() && before.any(|bits| bits.outstanding);
            for wanted in [None, Some(1), Some(6), Some(7)] {
                let mut which = (0..8).filter(|ptid| wanted.is_none_or(|wanted| wanted == *ptid));
                let which = which.find(|ptid| free(*ptid)).filter(|_| runs);
                let entry = before.entry();
                assert_eq!(entry.reserve(wanted, threads), which, "{before:?}");
                let bit = which.map_or(0, |ptid| 1 << (9 + ptid));
                assert_eq!(entry.snapshot(), Snapshot(before.word() | bit));
            }
        }
    }
}

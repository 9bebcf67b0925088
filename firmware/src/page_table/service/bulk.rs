//! H_BULK_REMOVE: up to four removals, each told of in its own register.
use super::{Entry, Guest, Held, Registers};
use crate::page_table::entry::{AVPN, CHANGED, REFERENCED, VALID};
use crate::page_table::size;
use hcalls::papr::{H_PARAMETER, H_SUCCESS};

/// A request's upper eight bits, PAPR 14.5.4.1.7: what kind it is, and what became of it.
const CODE_SHIFT: u32 = 56;
const INDEX: u64 = (1 << CODE_SHIFT) - 1;
const KIND_SHIFT: u32 = 62;
const REQUEST: u64 = 1;
const END: u64 = 3;
/// Conditions: none, that no bit is set, that the page is this.
const CONDITIONS: u64 = 3;
const AND: u64 = 1;
const PAGE: u64 = 2;
const SUCCESS: u64 = 0x80;
const NOT_FOUND: u64 = 0x90;
const PARAMETER: u64 = 0xa0;
/// R and C of the entry that was removed, in the code.
const NOTED_SHIFT: u32 = CODE_SHIFT - 5;

impl Guest {
    /// Is left to the host before anything is removed, or not at all: requests that have been answered are
    /// none any more.
    #[inline(never)]
    pub fn bulk_remove(&self, registers: &mut Registers) -> Option<u64> {
        let requests = registers.as_chunks_mut::<2>().0;
        if requests
            .iter()
            .any(|[request, _]| self.is_odd(request.get()))
        {
            return None;
        }
        for (at, [request, wanted]) in requests.iter_mut().enumerate() {
            let asked = request.get();
            let (index, condition) = (asked & INDEX, asked >> CODE_SHIFT & CONDITIONS);
            let kind = asked >> KIND_SHIFT;
            if kind == END {
                break;
            }
            let entry = self.entries.table.entry(index);
            let (REQUEST, 0..=PAGE, Some(entry)) = (kind, condition, entry) else {
                request.set((PARAMETER | condition) << CODE_SHIFT | index);
                return Some(H_PARAMETER);
            };
            let removed = self.remove_if(index, entry, condition, wanted.get());
            let Some((code, noted)) = removed else {
                if at == 0 {
                    return None;
                }
                request.set((PARAMETER | condition) << CODE_SHIFT | index);
                return Some(H_PARAMETER);
            };
            request.set((code | condition) << CODE_SHIFT | noted << NOTED_SHIFT | index);
        }
        Some(H_SUCCESS)
    }

    /// A page of a size that the host has to see to.
    fn is_odd(&self, request: u64) -> bool {
        let entry = self.entries.table.entry(request & INDEX);
        request >> KIND_SHIFT == REQUEST
            && entry.is_some_and(|entry| {
                let [first, second] = [entry.first(), entry.second()];
                first & VALID != 0 && size::shift(first, second).is_none()
            })
    }

    fn remove_if(
        &self,
        index: u64,
        entry: &'static Entry,
        condition: u64,
        wanted: u64,
    ) -> Option<(u64, u64)> {
        let held = self.hold(index, entry)?;
        if !held.exists() || !meets(&held, condition, wanted) {
            held.give_back();
            return Some((NOT_FOUND, 0));
        }
        let Some(shift) = held.shift() else {
            held.give_back();
            return None;
        };
        let [_, second] = held.remove(shift);
        Some((SUCCESS, second & (REFERENCED | CHANGED)))
    }
}

fn meets(held: &Held, condition: u64, wanted: u64) -> bool {
    match condition {
        AND => held.first & wanted == 0,
        PAGE => held.first & AVPN == wanted,
        _ => true,
    }
}

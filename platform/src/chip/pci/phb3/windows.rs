//! How windows of DMA are written into a bridge's table.
use asm::ibm;

/// A DMA address with this bit goes by the second window of its PE.
pub const SECOND_WINDOW: u64 = 1 << 59;
/// Windows by which a device reaches memory as it is begin and end at multiples of this.
pub const REAL_GRAIN_BYTES: u64 = 16 << 20;
/// And end below this.
const REAL_LIMIT: u64 = 1 << 50;
const BYPASS: u64 = ibm(51);

/// A DMA window by tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TceWindow {
    /// Real address of the (first) table.
    pub table: u64,
    /// Bytes of a table of each level.
    pub level_bytes: u64,
    pub levels: u64,
    pub page_bytes: u64,
}

impl TceWindow {
    /// What the bridge is told; `None`: it can't be told.
    pub fn entry(&self) -> Option<u64> {
        let is_table = self.level_bytes.is_power_of_two()
            && (1 << 12..1 << 42).contains(&self.level_bytes)
            && self.table.is_multiple_of(1 << 12);
        let page = match self.page_bytes {
            0x1000 => 1,
            0x1_0000 => 5,
            0x100_0000 => 13,
            0x1000_0000 => 17,
            _ => return None,
        };
        if !is_table || !(1..=5).contains(&self.levels) {
            return None;
        }
        let size = u64::from(self.level_bytes.trailing_zeros()) - 11;
        Some(self.table >> 12 << 16 | (self.levels - 1) << 13 | size << 8 | page)
    }
}

/// A DMA window onto memory as it is, from the address `start` of a device on; `None`: there is no such.
pub fn real_entry(window: u64, start: u64, len_bytes: u64) -> Option<u64> {
    let second = window & 1 == 1;
    let first = start & !SECOND_WINDOW;
    let end = first.checked_add(len_bytes)?;
    let fits = (start & SECOND_WINDOW != 0) == second
        && len_bytes.is_power_of_two()
        && first.is_multiple_of(REAL_GRAIN_BYTES)
        && len_bytes.is_multiple_of(REAL_GRAIN_BYTES)
        && end < REAL_LIMIT;
    let (first, end) = (first >> 24, end >> 24);
    let lower = (first & 0xff_ffff) << 40 | (end & 0xff_ffff) << 16;
    let upper = first >> 24 << 10 | end >> 24 << 8;
    fits.then_some(lower | BYPASS | upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_by_tables() {
        let window = TceWindow {
            table: 0x1234_5000,
            level_bytes: 0x8_0000,
            levels: 2,
            page_bytes: 0x1_0000,
        };
        // log2 of the bytes is 19.
        assert_eq!(window.entry(), Some(0x1_2345_0000 | 1 << 13 | 8 << 8 | 5));
        let wrong = [
            TceWindow {
                table: 0x1234_5800,
                ..window
            },
            TceWindow {
                level_bytes: 0x800,
                ..window
            },
            TceWindow {
                level_bytes: 0x3000,
                ..window
            },
            TceWindow {
                level_bytes: 1 << 42,
                ..window
            },
            TceWindow {
                levels: 0,
                ..window
            },
            TceWindow {
                levels: 6,
                ..window
            },
            TceWindow {
                page_bytes: 0x2000,
                ..window
            },
        ];
        assert!(wrong.iter().all(|window| window.entry().is_none()));
    }

    #[test]
    fn windows_onto_memory() {
        const RAM: u64 = 0x8000_0000;
        let entry = real_entry(5, SECOND_WINDOW, RAM);
        // From 0 to 0x80 in units of 16 MiB.
        assert_eq!(entry, Some(0x80 << 16 | 0x1000));
        let far = real_entry(0, 1 << 48, 1 << 48).unwrap();
        assert_eq!(far, 1 << 10 | 2 << 8 | 0x1000);
        for (window, start, len) in [
            (4, SECOND_WINDOW, RAM),
            (5, 0, RAM),
            (5, SECOND_WINDOW | 0x1000, RAM),
            (5, SECOND_WINDOW, RAM + 0x100_0000),
            (5, SECOND_WINDOW, 0x80_0000),
            (5, SECOND_WINDOW, 0),
            (5, SECOND_WINDOW, 1 << 50),
            (5, SECOND_WINDOW, 1 << 63),
            (4, 1 << 62, RAM),
            (5, u64::MAX, RAM),
        ] {
            assert_eq!(real_entry(window, start, len), None, "{window} {start:#x}");
        }
    }
}

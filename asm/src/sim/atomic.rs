//! Atomics that threads of the simulated machine share: each access is a place where another may go on.
use super::schedule::{changed, point};
use core::sync::atomic::{self, Ordering};

macro_rules! atomics {
    ($($name:ident $value:ty { $($rmw:ident),* };)+) => {$(
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub struct $name(atomic::$name);

        impl $name {
            #[must_use]
            pub const fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            #[must_use]
            pub fn load(&self, order: Ordering) -> $value {
                point();
                self.0.load(order)
            }

            pub fn store(&self, value: $value, order: Ordering) {
                point();
                noticed(self.0.load(Ordering::Relaxed), value);
                self.0.store(value, order);
            }

            /// # Errors
            /// The value that it has, if that isn't `current`.
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                point();
                let result = self.0.compare_exchange(current, new, success, failure);
                if result.is_ok() {
                    noticed(current, new);
                }
                result
            }

            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }

            $(pub fn $rmw(&self, value: $value, order: Ordering) -> $value {
                point();
                let before = self.0.$rmw(value, order);
                noticed(before, self.0.load(Ordering::Relaxed));
                before
            })*
        }
    )+};
}
atomics! {
    AtomicBool bool { swap };
    AtomicU8 u8 { swap, fetch_and, fetch_or };
    AtomicU16 u16 { swap, fetch_and, fetch_or };
    AtomicU32 u32 { swap, fetch_and, fetch_or, fetch_add };
    AtomicU64 u64 { swap, fetch_and, fetch_or, fetch_add, fetch_sub, fetch_max };
}

fn noticed<T: PartialEq>(before: T, after: T) {
    if before != after {
        changed();
    }
}

/// As the machine's.
pub fn fence(order: Ordering) {
    point();
    atomic::fence(order);
}

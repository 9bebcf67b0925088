//! A hardware thread and its core: the thread's own state, the way into a guest and back, and what the
//! threads of a core share.
pub mod decrementer;
pub mod guest;
pub mod hmi;
pub mod lock;
mod registers;
pub mod space;
pub mod thread;
pub mod world;
pub mod xics;

//! Marks in the log of executed instructions that `cargo xtask bench` reads: functions that do
//! nothing but be executed. It finds them by their names.

/// The row that was announced last begins.
pub fn row() {
    machine::row();
}

/// A round of the row begins; the last one ends with a mark of its own.
pub fn round() {
    machine::round();
}

#[cfg(target_arch = "powerpc64")]
mod machine {
    use core::arch::global_asm;

    unsafe extern "C" {
        safe fn bench_row();
        safe fn bench_round();
    }

    pub fn row() {
        bench_row();
    }
    pub fn round() {
        bench_round();
    }

    global_asm!(
        ".section .text.bench_marks, \"ax\"",
        ".globl bench_row",
        ".type bench_row, @function",
        "bench_row:",
        "    blr",
        ".size bench_row, . - bench_row",
        ".globl bench_round",
        ".type bench_round, @function",
        "bench_round:",
        "    blr",
        ".size bench_round, . - bench_round",
    );
}

/// Where the images are only compiled, not run.
#[cfg(not(target_arch = "powerpc64"))]
mod machine {
    pub fn row() {}
    pub fn round() {}
}

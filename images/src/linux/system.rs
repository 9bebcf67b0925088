//! What a program of Linux's asks of its kernel (64-bit POWER, Linux's system calls).
#![allow(dead_code, reason = "each program needs some of it")]

/// A file that is open.
#[derive(Clone, Copy)]
pub struct File(u64);

/// Errno.
#[derive(Clone, Copy, Debug)]
pub struct Errno(pub u64);

const FORK: u64 = 2;
const READ: u64 = 3;
const WRITE: u64 = 4;
const OPEN: u64 = 5;
const SETUID: u64 = 23;
const IOCTL: u64 = 54;
const SETRLIMIT: u64 = 75;
const MMAP: u64 = 90;
const SETITIMER: u64 = 104;
const WAIT4: u64 = 114;
const EXIT_GROUP: u64 = 234;

const STANDARD_INPUT: u64 = 0;
const STANDARD_OUTPUT: u64 = 1;
const READ_AND_WRITE: u64 = 2;

/// Opens a file, whose name ends in a 0, to be read and written.
pub fn open(name: &core::ffi::CStr) -> Result<File, Errno> {
    let address = name.as_ptr().expose_provenance() as u64;
    // SAFETY: the kernel reads the name, which ends in a 0.
    unsafe { machine::call(OPEN, [address, READ_AND_WRITE, 0, 0, 0, 0]) }.map(File)
}

/// To the standard output.
pub fn print(text: &[u8]) {
    // Who can't be heard can't say so either.
    let _ = File(STANDARD_OUTPUT).write(text);
}

/// Goes on twice; the child's number, or 0 in the child.
pub fn fork() -> Result<u64, Errno> {
    // SAFETY: this process has one thread, and its memory is copied.
    unsafe { machine::call(FORK, [0; 6]) }
}

/// How a child has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exited(u32),
    /// By a signal.
    Killed,
}

/// Waits for a child; whether it exited with 0. An error when there is none left.
pub fn wait() -> Result<bool, Errno> {
    wait_for().map(|end| end == End::Exited(0))
}

/// Waits for a child; how it has ended. An error when there is none left.
pub fn wait_for() -> Result<End, Errno> {
    let mut status = 0_u32;
    let address = (&raw mut status).expose_provenance() as u64;
    // SAFETY: the kernel writes the status there.
    unsafe { machine::call(WAIT4, [u64::MAX, address, 0, 0, 0, 0])? };
    // SAFETY: it's this function's own; the kernel has written it.
    let status = unsafe { (&raw const status).read_volatile() };
    Ok(match status & 0x7f {
        0 => End::Exited(status >> 8),
        _ => End::Killed,
    })
}

/// All of the standard input, or as much as there is room for; how many bytes.
pub fn read_all(room: &mut [u8]) -> Result<usize, Errno> {
    let mut len = 0;
    while len < room.len() {
        match File(STANDARD_INPUT).read(&mut room[len..])? {
            0 => break,
            more => len += more,
        }
    }
    Ok(len)
}

/// How much memory this process may have locked.
pub fn limit_locked_memory(bytes: u64) -> Result<(), Errno> {
    const MEMLOCK: u64 = 8;
    // What counts now, and what it can be raised to.
    let limits = [bytes, bytes];
    let address = limits.as_ptr().expose_provenance() as u64;
    // SAFETY: the kernel reads the limits.
    unsafe { machine::call(SETRLIMIT, [MEMLOCK, address, 0, 0, 0, 0]) }.map(drop)
}

/// Gives up root's rights.
pub fn become_user(id: u64) -> Result<(), Errno> {
    // SAFETY: no memory is touched.
    unsafe { machine::call(SETUID, [id, 0, 0, 0, 0, 0]) }.map(drop)
}

/// Has the kernel end this process then.
pub fn kill_after_us(us: u64) {
    const REAL_TIME: u64 = 0;
    // Seconds and microseconds between two signals, and until the first.
    let timer = [0_u64, 0, us / 1_000_000, us % 1_000_000];
    let address = timer.as_ptr().expose_provenance() as u64;
    // SAFETY: the kernel reads the timer. Where it fails nothing ends the process but itself.
    let _ = unsafe { machine::call(SETITIMER, [REAL_TIME, address, 0, 0, 0, 0]) };
}

pub fn exit(status: u64) -> ! {
    loop {
        // SAFETY: nothing of this process is needed any more.
        let _ = unsafe { machine::call(EXIT_GROUP, [status, 0, 0, 0, 0, 0]) };
    }
}

/// Memory of its own, all 0; for good.
pub fn memory(len_bytes: u64) -> Result<*mut u8, Errno> {
    const PRIVATE_AND_ANONYMOUS: u64 = 0x22;
    map(u64::MAX, len_bytes, PRIVATE_AND_ANONYMOUS)
}

impl File {
    /// The same of this file's, shared with the kernel.
    pub fn memory(self, len_bytes: u64) -> Result<*mut u8, Errno> {
        const SHARED: u64 = 1;
        map(self.0, len_bytes, SHARED)
    }

    /// How many bytes were there; 0: none, at its end.
    pub fn read(self, room: &mut [u8]) -> Result<usize, Errno> {
        let address = room.as_mut_ptr().expose_provenance() as u64;
        let args = [self.0, address, room.len() as u64, 0, 0, 0];
        // SAFETY: the kernel writes no more bytes there than there is room for.
        unsafe { machine::call(READ, args) }.map(|len| len as usize)
    }

    /// How many bytes were taken.
    pub fn write(self, bytes: &[u8]) -> Result<usize, Errno> {
        let address = bytes.as_ptr().expose_provenance() as u64;
        let args = [self.0, address, bytes.len() as u64, 0, 0, 0];
        // SAFETY: the kernel reads so many bytes.
        unsafe { machine::call(WRITE, args) }.map(|len| len as usize)
    }

    /// A request with a number.
    pub fn request(self, what: u64, number: u64) -> Result<u64, Errno> {
        // SAFETY: a request of this kind takes no address.
        unsafe { machine::call(IOCTL, [self.0, what, number, 0, 0, 0]) }
    }

    /// A request that opens a file, about a structure.
    pub fn opened_by<Structure>(self, what: u64, about: &mut Structure) -> Result<File, Errno> {
        self.answered(what, about).map(File)
    }

    /// A request that opens a file.
    pub fn opened(self, what: u64, number: u64) -> Result<File, Errno> {
        self.request(what, number).map(File)
    }

    /// Any request: whatever it is about lies in this room, the largest that a request can name.
    pub fn any(self, what: u64, room: &mut [u64; 1024]) -> Result<u64, Errno> {
        let address = room.as_mut_ptr().expose_provenance() as u64;
        // SAFETY: a request's number tells no more bytes than the room has, and the kernel reads or writes
        // there, or where addresses in the room lead: to this process's memory, or nowhere.
        unsafe { machine::call(IOCTL, [self.0, what, address, 0, 0, 0]) }
    }

    /// A request about a structure, whose size its number tells.
    pub fn exchange<Structure>(self, what: u64, about: &mut Structure) -> Result<(), Errno> {
        self.answered(what, about).map(drop)
    }

    fn answered<Structure>(self, what: u64, about: &mut Structure) -> Result<u64, Errno> {
        let len_bytes = what >> 16 & 0x1fff;
        assert_eq!(len_bytes, size_of::<Structure>() as u64);
        let address = core::ptr::from_mut(about).expose_provenance() as u64;
        // SAFETY: the kernel reads or writes so many bytes there.
        unsafe { machine::call(IOCTL, [self.0, what, address, 0, 0, 0]) }
    }
}

fn map(file: u64, len_bytes: u64, flags: u64) -> Result<*mut u8, Errno> {
    const READABLE_AND_WRITABLE: u64 = 3;
    let args = [0, len_bytes, READABLE_AND_WRITABLE, flags, file, 0];
    // SAFETY: new memory, where nothing was.
    let address = unsafe { machine::call(MMAP, args)? };
    Ok(core::ptr::with_exposed_provenance_mut(address as usize))
}

/// The time base, which a program may read.
pub fn time_base() -> u64 {
    machine::time_base()
}

#[cfg(target_arch = "powerpc64")]
mod machine {
    use super::Errno;
    use core::arch::{asm, global_asm};

    // r1 = stack: the number of arguments, then their addresses.
    global_asm!(
        ".globl _start",
        ".type _start, @function",
        "_start:",
        "    lis 2, .TOC.@ha",
        "    addi 2, 2, .TOC.@l",
        "    mr 3, 1",
        "    li 0, 0",
        "    stdu 0, -32(1)",
        "    bl linux_main",
        "    nop",
        ".size _start, . - _start",
    );

    /// From the program's first instructions: the stack as the kernel has made it. Its first argument, if it is
    /// a number, is the program's.
    #[unsafe(no_mangle)]
    extern "C" fn linux_main(stack: *const u64) -> ! {
        // SAFETY: the number of arguments, and the first one's address after the program's name.
        let argument = unsafe { (*stack > 1).then(|| *stack.add(2)) };
        let argument = argument.map(|address| {
            let text = core::ptr::with_exposed_provenance(address as usize);
            // SAFETY: the kernel has put it there, with a 0 at its end.
            unsafe { core::ffi::CStr::from_ptr(text) }
        });
        crate::start(argument.and_then(|text| text.to_str().ok()?.parse().ok()))
    }

    pub fn time_base() -> u64 {
        let tb;
        // SAFETY: a read without effect.
        unsafe { asm!("mftb {}", out(reg) tb, options(nomem, nostack)) }
        tb
    }

    /// # Safety
    /// The call does nothing to memory that this program has a reference to, but as its types allow.
    pub unsafe fn call(number: u64, args: [u64; 6]) -> Result<u64, Errno> {
        let [mut answer, second, third, fourth, fifth, sixth] = args;
        let condition: u64;
        // SAFETY: the caller's promise. CR0[SO] tells an error.
        unsafe {
            asm!(
                "sc",
                "mfcr 9",
                inlateout("r0") number => _, inlateout("r3") answer,
                inlateout("r4") second => _, inlateout("r5") third => _,
                inlateout("r6") fourth => _, inlateout("r7") fifth => _,
                inlateout("r8") sixth => _, lateout("r9") condition,
                lateout("r10") _, lateout("r11") _, lateout("r12") _,
                lateout("ctr") _, lateout("xer") _, lateout("cr0") _,
                options(nostack)
            );
        }
        match condition & 1 << 28 {
            0 => Ok(answer),
            _ => Err(Errno(answer)),
        }
    }
}

/// Where it is only compiled, not run.
#[cfg(not(target_arch = "powerpc64"))]
mod machine {
    pub fn time_base() -> u64 {
        unreachable!("no POWER8")
    }

    pub unsafe fn call(_number: u64, _args: [u64; 6]) -> Result<u64, super::Errno> {
        unreachable!("no POWER8")
    }
}

//! The image's entry points in Rust; everything else is the library.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]

#[cfg(target_arch = "powerpc64")]
mod machine {
    use asm::area::Frame;

    /// From reset: the elected thread, on the early stack, with the real address of the tree.
    #[unsafe(no_mangle)]
    extern "C" fn boot_main(tree: u64) -> ! {
        firmware::boot::main(tree)
    }

    /// An interrupt on the boot thread before it has an area of its own.
    #[unsafe(no_mangle)]
    extern "C" fn boot_fault(frame: &Frame, vector: u64) -> ! {
        firmware::epitaph::fault(frame, vector)
    }

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo) -> ! {
        firmware::epitaph::panic(info)
    }
}

#[cfg(not(target_arch = "powerpc64"))]
fn main() {
    eprintln!("catnap runs on POWER8: build it by `cargo xtask image`");
}

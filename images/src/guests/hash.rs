//! The reference guest: each vcpu hashes its slice of the guest's share of the input.
//!
//! Arguments: guest real address and length of the share. Vcpu 0 says its digest last: it waits in
//! H_CEDE until the others have prodded it.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]
use core::sync::atomic::{AtomicU64, Ordering};

use images::guest_runtime::{Vcpu, hcall, memory, term};
use images::share;
use sha2::{Digest, Sha256};

/// How many vcpus other than vcpu 0 have their digest.
static FINISHED: AtomicU64 = AtomicU64::new(0);

images::guest!(hash);

fn hash(vcpu: Vcpu) -> ! {
    let [address, len_bytes] = vcpu.args;
    let slice = share::slice(len_bytes, vcpu.index, vcpu.count);
    // SAFETY: the host has put the share there, and all vcpus only read it.
    let bytes = unsafe { memory(address + slice.start, slice.end - slice.start) };
    let digest = Sha256::digest(bytes).into();
    if vcpu.index == 0 {
        wait_for_others(vcpu.count - 1);
        term::write("all slices are hashed\n");
    } else {
        FINISHED.fetch_add(1, Ordering::Release);
        hcall::prod(0);
    }
    hcall::done(&digest)
}

fn wait_for_others(others: u64) {
    while FINISHED.load(Ordering::Acquire) < others {
        hcall::cede();
    }
}

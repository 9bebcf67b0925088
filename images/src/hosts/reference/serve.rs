//! What the reference host does for a vcpu that came out of its guest.
use hcalls::exit::ExitReason;
use hcalls::papr::{H_CONFER, H_FUNCTION, H_PARAMETER, H_PROD, H_SUCCESS};
use images::guest_calls::H_PRIVILEGE;
use images::guest_calls::{
    DIGEST_BYTES, H_DONE, H_PANIC, H_PUT_TERM_CHAR, H_UNEXPECTED, TERM_BYTES,
};
use images::println;

use crate::job::Job;

/// MSR\[PR\]: problem state.
const MSR_PR: u64 = 1 << (63 - 49);
/// The longest line of a guest's that is printed as one.
const LINE_BYTES: usize = 120;

/// Serves vcpu `vcpu`'s exit, so that it can run on, or gives its guest up.
pub fn exit(job: &mut Job, vcpu: usize) {
    let line = &job.guest.page(vcpu).firmware;
    let (reason, trap) = (line.reason.get(), line.trap.get());
    let (srr0, srr1) = (line.srr0.get(), line.srr1.get());
    match ExitReason::try_from(reason) {
        Ok(ExitReason::Hypercall) => hypercall(job, vcpu),
        // Nobody kicks this host's vcpus; it would be nothing to serve.
        Ok(ExitReason::Kick) => {}
        Ok(reason) => job.fail(alloc::format!(
            "vcpu {vcpu}: {reason:?}, vector {trap:#x} at {srr0:#x}, SRR1 {srr1:#x}"
        )),
        Err(_) => job.fail(alloc::format!("vcpu {vcpu}: unknown exit reason {reason}")),
    }
}

/// `sc 1`: the number is in r3, and there the answer goes.
fn hypercall(job: &mut Job, vcpu: usize) {
    if job.guest.page(vcpu).msr.get() & MSR_PR != 0 {
        // A program of the guest's, whose kernel has not asked for anything.
        return job.guest.page_mut(vcpu).gpr[3].set(H_PRIVILEGE);
    }
    let gpr = &job.guest.page(vcpu).gpr;
    let number = gpr[3].get();
    let args = [4, 5, 6, 7, 8].map(|register| gpr[register].get());
    let answer = match number {
        H_PUT_TERM_CHAR => put_term_char(job, args),
        H_PROD => prod(job, args[0]),
        // The firmware has left it to the host: there is no such vcpu in the only vcore.
        H_CONFER => H_PARAMETER,
        H_DONE => done(job, vcpu, args[0]),
        H_UNEXPECTED => {
            let [vector, srr0, srr1, dar, dsisr] = args;
            job.fail(alloc::format!(
                "vcpu {vcpu}: interrupt {vector:#x} at {srr0:#x}, SRR1 {srr1:#x}, DAR {dar:#x}, DSISR {dsisr:#x}"
            ));
            H_SUCCESS
        }
        H_PANIC => {
            job.fail(alloc::format!("vcpu {vcpu}: panic in line {}", args[0]));
            H_SUCCESS
        }
        _ => H_FUNCTION,
    };
    job.guest.page_mut(vcpu).gpr[3].set(answer);
}

/// The firmware wakes those that wait in the vcore's run, and leaves to the host those that don't
/// run: their next H_CEDE has to return at once.
fn prod(job: &mut Job, vcpu: u64) -> u64 {
    if vcpu >= job.guest.vcpus() as u64 {
        return H_PARAMETER;
    }
    job.guest.page_mut(vcpu as usize).firmware.prodded.set(1);
    H_SUCCESS
}

/// r5 bytes out of r6 and r7; whole lines are printed behind the guest's name.
fn put_term_char(job: &mut Job, [terminal, len_bytes, first, second, _]: [u64; 5]) -> u64 {
    if terminal != 0 || len_bytes > TERM_BYTES as u64 {
        return H_PARAMETER;
    }
    let bytes = (u128::from(first) << 64 | u128::from(second)).to_be_bytes();
    for &byte in &bytes[..len_bytes as usize] {
        match byte {
            b'\n' => print_line(job),
            b' '..=b'~' => job.line.push(byte.into()),
            _ => job.line.push('.'),
        }
        if job.line.len() == LINE_BYTES {
            print_line(job);
        }
    }
    H_SUCCESS
}

fn print_line(job: &mut Job) {
    println!("{}: {}", job.name, job.line);
    job.line.clear();
}

/// Keeps the digest at guest real `address`.
fn done(job: &mut Job, vcpu: usize, address: u64) -> u64 {
    let Some(bytes) = job.guest.bytes(address, DIGEST_BYTES as u64) else {
        job.fail(alloc::format!(
            "vcpu {vcpu}: digest at {address:#x}, outside of its memory"
        ));
        return H_PARAMETER;
    };
    let mut digest = [0; DIGEST_BYTES];
    digest.copy_from_slice(bytes);
    job.digests[vcpu] = Some(digest);
    H_SUCCESS
}

extern crate std;
use super::*;
use alloc::boxed::Box;
use p521::ecdsa::SigningKey;
use p521::ecdsa::signature::Signer as _;
use std::format;
use std::string::ToString;
use std::vec::Vec;

const PAYLOAD: &[u8] = b"a kernel, perhaps";

fn name() -> Name {
    Name::new(b"BOOTKERNEL")
}

/// The key with that secret.
fn key(secret: u8) -> SigningKey {
    let mut bytes = [0; 66];
    bytes[65] = secret;
    SigningKey::from_slice(&bytes).unwrap()
}

fn public(key: &SigningKey) -> Vec<u8> {
    key.verifying_key().to_sec1_point(false).as_bytes()[1..].to_vec()
}

fn keys(secrets: &[u8]) -> Vec<u8> {
    secrets
        .iter()
        .flat_map(|&secret| public(&key(secret)))
        .collect()
}

fn signatures(secrets: &[u8], message: &[u8]) -> Vec<u8> {
    let sign = |&secret: &u8| {
        let signature: Signature = key(secret).sign(message);
        signature.to_bytes().to_vec()
    };
    secrets.iter().flat_map(sign).collect()
}

/// A header, which says this of what it is for.
fn part(keys: u8, chips: u8, len_bytes: usize, hash: &[u8]) -> Vec<u8> {
    let mut part = std::vec![0, 1, 1, 1];
    part.resize(24, 0);
    part.push(keys);
    part.extend((len_bytes as u64).to_be_bytes());
    part.extend(hash);
    part.push(chips);
    part.resize(98 + 16 * usize::from(chips), 0);
    part
}

const HARDWARE: [u8; 3] = [1, 2, 3];

/// A container that those software keys have signed, bound to so many chips.
fn signed(software: &[u8], chips: u8) -> Box<[u8; HEADER_BYTES]> {
    let software_keys = keys(software);
    let prefix = part(
        software.len() as u8,
        chips,
        software_keys.len(),
        &Sha512::digest(&software_keys),
    );
    let header = part(0, 0, PAYLOAD.len(), &Sha512::digest(PAYLOAD));
    let bytes = [
        &[0x17, 0x08, 0x20, 0x11, 0, 1][..],
        &[0; 24],
        &keys(&HARDWARE),
        &prefix,
        &signatures(&HARDWARE, &prefix),
        &software_keys,
        &header,
        &signatures(software, &header),
    ]
    .concat();
    let mut all = Box::new([0; HEADER_BYTES]);
    all[..bytes.len()].copy_from_slice(&bytes);
    all
}

fn trusted() -> [u8; HASH_BYTES] {
    Sha512::digest(keys(&HARDWARE)).into()
}

fn check(bytes: &[u8; HEADER_BYTES]) -> Result<(), SignatureError> {
    let container = Container::parse(Box::new(*bytes), name(), 4096);
    container.unwrap().unwrap().check_signatures(&trusted())
}

/// RFC 6979, section A.2.7, "With SHA-512, message = "sample"".
#[test]
fn a_signature_of_others_is_believed() {
    const KEY: &str = "\
        01894550D0785932E00EAA23B694F213F8C3121F86DC97A04E5A7167DB4E5BCD37\
        1123D46E45DB6B5D5370A7F20FB633155D38FFA16D2BD761DCAC474B9A2F5023A4\
        00493101C962CD4D2FDDF782285E64584139C2F91B47F87FF82354D6630F746A28\
        A0DB25741B5B34A828008B22ACC23F924FAAFBD4D33F81EA66956DFEAA2BFDFCF5";
    const SIGNATURE: &str = "\
        00C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F17\
        4E25A1EE9017B5D450606ADD152B534931D7D4E8455CC91F9B15BF05EC36E377FA\
        00617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF28\
        2623EAA63E5B5C0723D8B8C37FF0777B1A20F8CCB1DCCC43997F1EE0E44DA4A67A";
    let bytes = |text: &str| -> [u8; KEY_BYTES] {
        core::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
    };
    let (key, mut signature) = (bytes(KEY), bytes(SIGNATURE));
    assert!(has_signed(&key, &signature, b"sample"));
    assert!(!has_signed(&key, &signature, b"simple"));
    signature[131] ^= 1;
    assert!(!has_signed(&key, &signature, b"sample"));
    assert!(!has_signed(&[0; KEY_BYTES], &signature, b"sample"));
    assert!(!has_signed(&key, &[0; KEY_BYTES], b"sample"));
}

#[test]
fn all_keys_must_have_signed() {
    for software in [&[4][..], &[4, 5], &[4, 5, 6]] {
        assert_eq!(check(&signed(software, 0)), Ok(()));
    }
    let good = signed(&[4, 5], 0);
    let prefix_signatures = PREFIX_AT + 98;
    let software_keys = prefix_signatures + 3 * KEY_BYTES;
    let software = software_keys + 2 * KEY_BYTES;
    let cases = [
        (HARDWARE_KEYS_AT + 7, SignatureError::Untrusted(name())),
        (
            PREFIX_AT + 4,
            SignatureError::Wrong(name(), Signer::Hardware(0)),
        ),
        (
            prefix_signatures + 9,
            SignatureError::Wrong(name(), Signer::Hardware(0)),
        ),
        (
            prefix_signatures + 2 * KEY_BYTES + 9,
            SignatureError::Wrong(name(), Signer::Hardware(2)),
        ),
        (software_keys + 9, SignatureError::SoftwareKeys(name())),
        (
            software + 40,
            SignatureError::Wrong(name(), Signer::Software(0)),
        ),
        (
            software + 98 + KEY_BYTES + 9,
            SignatureError::Wrong(name(), Signer::Software(1)),
        ),
    ];
    for (at, why) in cases {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        assert_eq!(check(&bytes), Err(why), "{at:#x}");
    }
}

#[test]
fn what_nobody_signed_or_others_did_is_refused() {
    let mut unsigned = signed(&[4], 0);
    unsigned[HARDWARE_KEYS_AT..PREFIX_AT].fill(0);
    assert_eq!(check(&unsigned), Err(SignatureError::Unsigned(name())));
    let nobody = signed(&[], 0);
    assert_eq!(check(&nobody), Err(SignatureError::Unsigned(name())));
    assert_eq!(check(&signed(&[4], 2)), Err(SignatureError::Bound(name())));
    let container = Container::parse(signed(&[4], 0), name(), 4096);
    let other = container.unwrap().unwrap().check_signatures(&[7; 64]);
    assert_eq!(other, Err(SignatureError::Untrusted(name())));
    assert_eq!(
        SignatureError::Wrong(name(), Signer::Software(1)).to_string(),
        format!("{}: signature by software key 1 is wrong", name())
    );
}

/// What the hardware keys have signed can't be given other software keys, nor those another payload.
#[test]
fn parts_of_two_containers_make_none() {
    let (one, other) = (signed(&[4], 0), signed(&[5], 0));
    let mut mixed = one.clone();
    let software_keys = PREFIX_AT + 98 + 3 * KEY_BYTES;
    mixed[software_keys..].copy_from_slice(&other[software_keys..]);
    assert_eq!(check(&mixed), Err(SignatureError::SoftwareKeys(name())));
    let mut mixed = one;
    let behind = software_keys + KEY_BYTES + 98;
    mixed[behind..].copy_from_slice(&other[behind..]);
    assert_eq!(
        check(&mixed),
        Err(SignatureError::Wrong(name(), Signer::Software(0)))
    );
}

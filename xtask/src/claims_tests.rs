use super::*;

const INPUT: &[u8] = b"catnap naps";

/// What an honest host prints for a guest whose vcpus hash from the one offset to the other.
fn lines(guest: &str, slices: &[(usize, usize)]) -> Vec<String> {
    let whole = slices[0].0..slices[slices.len() - 1].1;
    let mut lines = vec![format!("share {guest} {} {}", whole.start, whole.len())];
    let mut digests = Vec::new();
    for (vcpu, &(offset, end)) in slices.iter().enumerate() {
        let digest = Sha256::digest(&INPUT[offset..end]);
        digests.extend(digest);
        let len = end - offset;
        lines.push(format!(
            "slice {guest} {vcpu} {offset} {len} {}",
            hex::encode(&digest)
        ));
    }
    lines.push(format!(
        "digest {guest} {}",
        hex::encode(&Sha256::digest(digests))
    ));
    lines
}

fn honest() -> Vec<String> {
    let mut all = lines("smt1", &[(0, 3)]);
    all.extend(lines("smt2-le", &[(3, 7), (7, 11)]));
    all
}

fn check(lines: &[String]) -> Result<Verified, String> {
    let mut claims = Claims::default();
    lines.iter().for_each(|line| claims.read_line(line));
    claims.check(INPUT).map_err(|faults| faults.join("\n"))
}

#[test]
fn honest_claims_hold() {
    let mut all = honest();
    all.insert(0, "host: 2 guests".to_string());
    assert_eq!(
        check(&all),
        Ok(Verified {
            guests: 2,
            slices: 3,
            bytes: 11
        })
    );
}

#[test]
fn every_missing_line_is_noticed() {
    for left_out in 0..honest().len() {
        let mut some = honest();
        let line = some.remove(left_out);
        assert!(check(&some).is_err(), "without {line}");
    }
    assert!(check(&[]).unwrap_err().contains("no guest"));
}

#[test]
fn every_changed_digit_is_noticed() {
    for changed in 0..honest().len() {
        let mut some = honest();
        let last = some[changed].pop().unwrap();
        some[changed].push(if last == '1' { '2' } else { '1' });
        assert!(check(&some).is_err(), "with {}", some[changed]);
    }
}

#[test]
fn a_line_said_twice_is_noticed() {
    let mut some = honest();
    some.push(some[1].clone());
    assert!(check(&some).unwrap_err().contains("said before"));
}

#[test]
fn bytes_left_out_or_hashed_twice_are_noticed() {
    let short = lines("smt1", &[(0, 10)]);
    assert!(check(&short).unwrap_err().contains("cover the file"));
    let mut twice = honest();
    twice.extend(lines("smt4", &[(3, 11)]));
    assert!(check(&twice).unwrap_err().contains("cover the file"));
    let gap = lines("smt2", &[(0, 3), (4, 11)]);
    assert!(check(&gap).unwrap_err().contains("cover the share"));
}

#[test]
fn nonsense_is_noticed() {
    for line in [
        "share a",
        "share a 1 x",
        "slice a 0 0 1 12",
        "digest a zz",
        "share a 1 -1",
    ] {
        let mut some = honest();
        some.push(line.to_string());
        assert!(check(&some).unwrap_err().contains(line), "{line}");
    }
    let far = format!("slice smt1 1 5 {} {}", usize::MAX, "0".repeat(64));
    assert!(check(&[far]).is_err());
}

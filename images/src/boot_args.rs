//! The boot arguments, `/chosen` `bootargs`: words of the form `name=value`.
use alloc::vec::Vec;
use core::fmt;

use hcalls::partition::PtidMode;

/// The value of the last word `name=value`, as the last one given on a command line counts.
pub fn value<'a>(args: &'a str, name: &str) -> Option<&'a str> {
    args.split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        .next_back()
}

/// What the reference host is asked to do. Words it doesn't know are left to others.
#[derive(Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// `smt=1,2,4,8`: a guest for each number, with that many vcpus. Left out: those of 1, 2, 4
    /// and 8 that the machine's cores have threads for.
    pub vcpus: Vec<u64>,
    /// `cores=2`: how many cores run guests; without it all do.
    pub cores: Option<usize>,
    /// `ptid=packed` or `ptid=aligned`.
    pub ptid_mode: PtidMode,
    /// `limit_s=120`: seconds of the time base after which a guest that isn't done has failed.
    pub limit_s: u64,
}

/// A boot argument that can't be meant.
#[derive(Debug, PartialEq, Eq)]
pub enum BadArgument<'a> {
    Smt(&'a str),
    Cores(&'a str),
    Ptid(&'a str),
    Limit(&'a str),
}

impl fmt::Display for BadArgument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smt(value) => write!(f, "smt={value}: want 1, 2, 4 or 8 with commas between"),
            Self::Cores(value) => write!(f, "cores={value}: want a number from 1"),
            Self::Ptid(value) => write!(f, "ptid={value}: want packed or aligned"),
            Self::Limit(value) => write!(f, "limit_s={value}: want seconds, 1 to 100000"),
        }
    }
}

impl HostOptions {
    pub fn parse(args: &str) -> Result<Self, BadArgument<'_>> {
        let smt = value(args, "smt").unwrap_or("1,2,4,8");
        let cores = value(args, "cores");
        let ptid = value(args, "ptid").unwrap_or("packed");
        let limit = value(args, "limit_s").unwrap_or("120");
        Ok(Self {
            vcpus: smt
                .split(',')
                .map(width)
                .collect::<Option<_>>()
                .ok_or(BadArgument::Smt(smt))?,
            cores: cores
                .map(|text| {
                    number(text, 1024)
                        .map(|n| n as usize)
                        .ok_or(BadArgument::Cores(text))
                })
                .transpose()?,
            ptid_mode: match ptid {
                "packed" => PtidMode::Packed,
                "aligned" => PtidMode::Aligned,
                _ => return Err(BadArgument::Ptid(ptid)),
            },
            limit_s: number(limit, 100_000).ok_or(BadArgument::Limit(limit))?,
        })
    }
}

fn width(text: &str) -> Option<u64> {
    number(text, 8).filter(|n| n.is_power_of_two())
}

fn number(text: &str, most: u64) -> Option<u64> {
    text.parse().ok().filter(|n| (1..=most).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults() {
        let options = HostOptions::parse("console=hvc0").unwrap();
        assert_eq!(options.vcpus, [1, 2, 4, 8]);
        assert_eq!(options.cores, None);
        assert_eq!(options.ptid_mode, PtidMode::Packed);
        assert_eq!(options.limit_s, 120);
    }

    #[test]
    fn everything_given() {
        let options = HostOptions::parse("smt=8,8 cores=2  ptid=aligned limit_s=5").unwrap();
        assert_eq!(options.vcpus, [8, 8]);
        assert_eq!(options.cores, Some(2));
        assert_eq!(options.ptid_mode, PtidMode::Aligned);
        assert_eq!(options.limit_s, 5);
    }

    #[test]
    fn last_word_counts() {
        assert_eq!(value("test=a test=b", "test"), Some("b"));
        assert_eq!(value("contest=a", "test"), None);
        assert_eq!(value("", "test"), None);
    }

    #[test]
    fn nonsense_is_refused() {
        for smt in ["", "0", "3", "9", "16", "1,,2", "-1", "1,"] {
            let args = alloc::format!("smt={smt}");
            assert!(
                matches!(HostOptions::parse(&args), Err(BadArgument::Smt(_))),
                "{args}"
            );
        }
        assert_eq!(HostOptions::parse("cores=0"), Err(BadArgument::Cores("0")));
        assert_eq!(
            HostOptions::parse("ptid=both"),
            Err(BadArgument::Ptid("both"))
        );
        assert_eq!(
            HostOptions::parse("limit_s=x"),
            Err(BadArgument::Limit("x"))
        );
    }
}

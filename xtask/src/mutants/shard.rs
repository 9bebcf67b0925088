//! One of several equal shares of the mutants.
use std::str::FromStr;

use anyhow::{Context, Error, ensure};

/// Number `k` of `n`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    k: u32,
    n: u32,
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (k, n) = text.split_once('/').context("a shard is K/N")?;
        let (k, n) = (k.parse()?, n.parse()?);
        ensure!(1 <= k && k <= n, "shards go from 1/N to N/N");
        Ok(Self { k, n })
    }
}

impl Shard {
    /// For a file's name.
    pub fn name(self) -> String {
        format!("{}-of-{}", self.k, self.n)
    }

    /// As cargo-mutants counts them.
    pub fn counted_from_0(self) -> String {
        format!("{}/{}", self.k - 1, self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_go_from_one_to_all() {
        let shard = |text: &str| text.parse::<Shard>().ok().map(Shard::counted_from_0);
        assert_eq!(shard("1/4").as_deref(), Some("0/4"));
        assert_eq!(shard("4/4").as_deref(), Some("3/4"));
        for wrong in ["0/4", "5/4", "1", "/", "1/x", "0/0", "-1/2"] {
            assert_eq!(shard(wrong), None, "{wrong}");
        }
    }
}

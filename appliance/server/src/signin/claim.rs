//! The one-time code that claims a new appliance, or restores one whose database is damaged.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;

use crate::domain::revision::sha256;

/// Crockford's alphabet: no letter that reads as a digit.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Of five bits each: 100 bits, which nobody tries out.
const SYMBOLS: usize = 20;
/// Symbols between two hyphens.
const GROUP: usize = 4;

/// A code as a person reads and types it. It has no `Debug`: it must not be logged.
pub(crate) struct ClaimCode(String);

impl ClaimCode {
    /// A new one.
    pub(crate) fn generate() -> Result<Self, Unspecified> {
        let mut random = [0; SYMBOLS];
        rand::fill(&mut random)?;
        Ok(Self(random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()))
    }

    /// What a person typed: case, hyphens and blanks do not matter, nor does `O` for `0`.
    pub(crate) fn typed(text: &str) -> Self {
        let symbol = |letter: char| match letter.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        Self(text.chars().filter(char::is_ascii_alphanumeric).map(symbol).collect())
    }

    /// What is stored. A code of 100 random bits needs no slow hash.
    pub(crate) fn hash(&self) -> String {
        sha256(self.0.as_bytes())
    }

    /// Whether this is the code with this hash, in the same time whatever the answer.
    pub(crate) fn matches(&self, hash: &str) -> bool {
        verify_slices_are_equal(self.hash().as_bytes(), hash.as_bytes()).is_ok()
    }
}

impl fmt::Display for ClaimCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, symbol) in self.0.chars().enumerate() {
            if index > 0 && index % GROUP == 0 {
                write!(f, "-")?;
            }
            write!(f, "{symbol}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_recognised_however_it_is_typed() {
        let code = ClaimCode::generate().unwrap();
        let shown = code.to_string();
        assert_eq!(shown.len(), 24);
        assert!(ClaimCode::typed(&shown).matches(&code.hash()));
        assert!(ClaimCode::typed(&shown.to_lowercase().replace('-', " ")).matches(&code.hash()));
        assert!(ClaimCode::typed(&shown.replace('0', "o").replace('1', "l")).matches(&code.hash()));
        assert!(!ClaimCode::generate().unwrap().matches(&code.hash()));
        assert!(!ClaimCode::typed("").matches(&code.hash()));
    }
}

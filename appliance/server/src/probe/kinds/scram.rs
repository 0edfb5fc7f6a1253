//! SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677): how PostgreSQL wants a password.

use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Seen;

/// More rounds than this are an attack on who counts them: PostgreSQL has 4096.
const ROUNDS_MAX: u32 = 1_000_000;

/// One exchange.
pub(super) struct Scram<'password> {
    password: &'password [u8],
    nonce: String,
    /// What both sides have said: `AuthMessage`.
    said: String,
    salted: [u8; 32],
}

impl<'password> Scram<'password> {
    pub(super) fn new(password: &'password [u8]) -> Result<Self, Seen> {
        let mut bytes = [0; 18];
        rand::fill(&mut bytes).map_err(|_| Seen { ours: true, ..Seen::new("no random bytes are left") })?;
        Ok(Self { password, nonce: STANDARD.encode(bytes), said: String::new(), salted: [0; 32] })
    }

    /// `client-first-message`. PostgreSQL knows the user from the startup message.
    pub(super) fn first(&mut self) -> String {
        self.said = format!("n=,r={}", self.nonce);
        format!("n,,{}", self.said)
    }

    /// `client-final-message`, by what the server said first.
    pub(super) fn last(&mut self, server_first: &str) -> Result<String, Seen> {
        let nonsense = || Seen::new("the server's side of SCRAM makes no sense");
        let field = |name| server_first.split(',').find_map(|part| part.strip_prefix(name));
        let nonce = field("r=").filter(|nonce| nonce.starts_with(&self.nonce)).ok_or_else(nonsense)?;
        let salt = field("s=").and_then(|salt| STANDARD.decode(salt).ok()).ok_or_else(nonsense)?;
        let rounds =
            field("i=").and_then(|rounds| rounds.parse().ok()).filter(|rounds| *rounds <= ROUNDS_MAX);
        let rounds = rounds.and_then(NonZeroU32::new).ok_or_else(nonsense)?;
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, self.password, &mut self.salted);
        let without_proof = format!("c=biws,r={nonce}");
        self.said = format!("{},{server_first},{without_proof}", self.said);
        let client_key = sign(&self.salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        let signature = sign(stored_key.as_ref(), self.said.as_bytes());
        let proof: Vec<u8> =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, signed)| key ^ signed).collect();
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }

    /// That the server knows the password, too.
    pub(super) fn verify(&self, server_final: &str) -> Result<(), Seen> {
        let server_key = sign(&self.salted, b"Server Key");
        let wanted = sign(server_key.as_ref(), self.said.as_bytes());
        let signed = server_final.strip_prefix("v=").and_then(|signed| STANDARD.decode(signed).ok());
        let is_known = signed
            .is_some_and(|signed| constant_time::verify_slices_are_equal(&signed, wanted.as_ref()).is_ok());
        if is_known { Ok(()) } else { Err(Seen::new("the server does not know the password itself")) }
    }
}

fn sign(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7677() {
        let mut scram = Scram::new(b"pencil").unwrap();
        scram.nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        // The example names the user.
        scram.said = "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned();
        let last = scram
            .last("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
            .unwrap();
        assert!(last.ends_with(",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), "{last}");
        assert!(scram.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").is_ok());
        assert!(scram.verify("v=AAriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").is_err());
    }
}

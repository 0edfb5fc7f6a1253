//! The cookie that holds a browser's token. Scripts cannot read it, other sites cannot make the browser send it.

use super::token::SESSION_S;

/// The prefix makes browsers insist on `Secure`, `Path=/` and this very host (RFC 6265bis, 4.1.3.2).
pub(crate) const NAME: &str = "__Host-penstock";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

/// The value of `Set-Cookie` that gives `token` to the browser.
pub(crate) fn holding(token: &str) -> String {
    format!("{NAME}={token}; Max-Age={SESSION_S}; {ATTRIBUTES}")
}

/// The value of `Set-Cookie` that takes it away.
pub(crate) fn removal() -> String {
    format!("{NAME}=; Max-Age=0; {ATTRIBUTES}")
}

/// The token in a `Cookie` header.
pub(crate) fn token(header: &str) -> Option<&str> {
    let pairs = header.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find_map(|(name, value)| (name == NAME).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_among_other_cookies() {
        assert_eq!(token("a=1; __Host-penstock=ey.J.x; b=2"), Some("ey.J.x"));
        assert_eq!(token("penstock=ey.J.x; x__Host-penstock=1"), None);
        assert_eq!(token(holding("ey.J.x").split(';').next().unwrap()), Some("ey.J.x"));
    }

    #[test]
    fn no_script_and_no_other_site_gets_it() {
        for cookie in [holding("t"), removal()] {
            for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age="] {
                assert!(cookie.contains(attribute), "{cookie}");
            }
        }
    }
}

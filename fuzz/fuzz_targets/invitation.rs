//! Any text as an invitation, and as the hash of a token that a server keeps; what was parsed is printed so that it parses
//! again, and a token is never printed for people.

#![no_main]

use common::endpoint::Endpoint;
use common::invitation::{Invitation, TokenHash};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(invitation) = text.parse::<Invitation>() {
        assert!(matches!(invitation.endpoint, Endpoint::Tcp { .. }));
        let printed = invitation.to_string();
        let debug = format!("{:?}", invitation.token);
        let secret = printed.rsplit('/').next().expect("a token stands behind the last slash");
        assert!(!debug.contains(secret));
        assert_eq!(printed.parse(), Ok(invitation));
    }
    if let Ok(hash) = text.parse::<TokenHash>() {
        let again: TokenHash = hash.to_string().parse().expect("what is printed parses");
        assert_eq!(again.to_string(), hash.to_string());
    }
});

//! `verify_signature`, a function that Envoy adds to the ABI (`source/extensions/common/wasm/foreign.cc`): BoringSSL behind a protobuf
//! message. It binds nothing: key type, curve and hash are the caller's to check.

use crate::calls;
use prost::Message;
use sluice_core::decision::environment::{HostCryptoUnavailable, SignatureCheck};

/// `VerifySignatureArguments` of Envoy's `verify_signature.proto`.
#[derive(Clone, PartialEq, Message)]
struct VerifySignatureArguments {
    #[prost(string, tag = "1")]
    hash_function: String,
    /// DER SubjectPublicKeyInfo; anything else is refused as a bad argument.
    #[prost(bytes = "vec", tag = "2")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    signature: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    text: Vec<u8>,
}

/// `VerifySignatureResult`; its field 2, a text for people, is left out.
#[derive(Clone, PartialEq, Message)]
struct VerifySignatureResult {
    #[prost(bool, tag = "1")]
    result: bool,
}

/// Verifies a signature in the host.
///
/// # Errors
/// [`HostCryptoUnavailable`] where it has no such function or refuses the key.
pub fn verify_signature(check: &SignatureCheck<'_>) -> Result<bool, HostCryptoUnavailable> {
    let arguments = VerifySignatureArguments {
        hash_function: check.hash.to_owned(),
        public_key: check.public_key.to_vec(),
        signature: check.signature.to_vec(),
        text: check.message.to_vec(),
    };
    let answer = calls::call_foreign_function("verify_signature", &arguments.encode_to_vec())
        .map_err(|_| HostCryptoUnavailable)?;
    let answer = VerifySignatureResult::decode(answer.as_slice()).map_err(|_| HostCryptoUnavailable)?;
    Ok(answer.result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_the_one_that_envoy_reads() {
        let arguments = VerifySignatureArguments {
            hash_function: "sha256".to_owned(),
            public_key: vec![1],
            signature: vec![2, 2],
            text: vec![3],
        };
        let wire = b"\x0a\x06sha256\x12\x01\x01\x1a\x02\x02\x02\x22\x01\x03";
        assert_eq!(arguments.encode_to_vec(), wire);
    }

    #[test]
    fn only_the_result_of_the_answer_counts() {
        for (wire, valid) in [
            (b"\x08\x01".as_slice(), true),
            (b"", false),
            (b"\x12\x03bad", false),
            (b"\x08\x01\x12\x00", true),
        ] {
            assert_eq!(VerifySignatureResult::decode(wire).unwrap().result, valid, "{wire:?}");
        }
    }
}

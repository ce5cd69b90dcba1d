//! The little DER (ITU-T X.690) that the host's crypto asks for: public keys as SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), and ECDSA
//! signatures as ECDSA-Sig-Value (RFC 3279 §2.2.3), which JOSE writes as r‖s (RFC 7518 §3.4).

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
/// AlgorithmIdentifier of rsaEncryption, 1.2.840.113549.1.1.1, with NULL parameters (RFC 3279 §2.3.1).
const RSA: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// AlgorithmIdentifier of id-ecPublicKey on secp256r1 (RFC 5480 §2.1.1).
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07,
];
/// AlgorithmIdentifier of id-ecPublicKey on secp384r1 (RFC 5480 §2.1.1).
const P384: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22,
];

/// An RSA public key of this modulus and exponent, both big-endian.
pub fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = element(SEQUENCE, &[unsigned(modulus), unsigned(exponent)].concat());
    public_key(RSA, &key)
}

/// A public key on P-256; `point` is uncompressed (SEC 1 §2.3.3).
pub fn p256_public_key(point: &[u8]) -> Vec<u8> {
    public_key(P256, point)
}

/// A public key on P-384; `point` is uncompressed (SEC 1 §2.3.3).
pub fn p384_public_key(point: &[u8]) -> Vec<u8> {
    public_key(P384, point)
}

/// The ECDSA signature r‖s; both halves are of the same length.
pub fn ecdsa_signature(joined: &[u8]) -> Vec<u8> {
    let (r, s) = joined.split_at_checked(joined.len() / 2).unwrap_or_default();
    element(SEQUENCE, &[unsigned(r), unsigned(s)].concat())
}

fn public_key(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    // A bit string begins with the number of bits that are unused in its last byte.
    let bits = element(BIT_STRING, &[&[0], key].concat());
    element(SEQUENCE, &[algorithm, &bits].concat())
}

/// A non-negative INTEGER: no leading zeros but the one that keeps the sign.
fn unsigned(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let digits = number.get(start..).unwrap_or_default();
    let negative = digits.first().is_none_or(|first| *first >= 0x80);
    let sign: &[u8] = if negative { &[0] } else { &[] };
    element(INTEGER, &[sign, digits].concat())
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let start = length.iter().position(|byte| *byte != 0).unwrap_or(length.len());
    let digits = length.get(start..).unwrap_or_default();
    let mut bytes = vec![tag];
    match digits {
        [] => bytes.push(0),
        [short] if *short < 0x80 => bytes.push(*short),
        // The long form: how many bytes the length has, then these.
        long => {
            bytes.push(0x80 | u8::try_from(long.len()).unwrap_or_default());
            bytes.extend(long);
        }
    }
    bytes.extend(content);
    bytes
}

#[cfg(test)]
mod tests;

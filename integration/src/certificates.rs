//! A certificate authority for one run, and a SPIFFE identity for each workload.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType,
};

use crate::{Error, Result};

/// The trust domain of the demo.
pub const TRUST_DOMAIN: &str = "sluice.demo";

/// The SPIFFE identity of a service account in the namespace `shop`.
pub fn identity(service_account: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/ns/shop/sa/{service_account}")
}

/// An authority whose key exists only in memory, in this run.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The files of a workload: what its Envoy reads.
pub struct Files {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
    /// The authority's certificate, PEM.
    pub authority: PathBuf,
}

impl Authority {
    /// Makes a new authority (ECDSA P-256).
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name("Sluice demo authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(refused)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(refused)?;
        Ok(Self { issuer })
    }

    /// Writes `<name>.crt`, `<name>.key` and `ca.crt` into `directory`; the certificate's only name is the SPIFFE identity
    /// `uri` (an X.509-SVID), good as client and as server.
    pub fn issue(&self, file_name: &str, uri: &str, directory: &Path) -> Result<Files> {
        self.issue_for(file_name, &[uri], directory)
    }

    /// As [`Authority::issue`], with several names, which no X.509-SVID has.
    pub fn issue_for(&self, file_name: &str, uris: &[&str], directory: &Path) -> Result<Files> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(file_name);
        for uri in uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into().map_err(refused)?));
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(refused)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(refused)?;

        std::fs::create_dir_all(directory).map_err(|e| Error::file("can't create", directory, e))?;
        let files = Files {
            certificate: directory.join(format!("{file_name}.crt")),
            key: directory.join(format!("{file_name}.key")),
            authority: directory.join("ca.crt"),
        };
        let write = |path: &Path, pem: String| {
            std::fs::write(path, pem).map_err(|e| Error::file("can't write", path, e))
        };
        write(&files.certificate, certificate.pem())?;
        write(&files.key, key.serialize_pem())?;
        write(&files.authority, self.issuer.pem())?;
        Ok(files)
    }
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn refused(error: rcgen::Error) -> Error {
    Error::Other(format!("can't make a certificate: {error}"))
}

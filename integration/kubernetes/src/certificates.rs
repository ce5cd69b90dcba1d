//! Who the API server is, and whom it believes to be the administrator.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use sluice_integration::{Error, Result};

/// The files that the server and its clients are given, all PEM.
pub(crate) struct Files {
    /// The authority that signed the others.
    pub(crate) authority: PathBuf,
    /// The server's certificate, for loopback.
    pub(crate) server_certificate: PathBuf,
    /// Its key.
    pub(crate) server_key: PathBuf,
    /// The administrator's certificate.
    pub(crate) admin_certificate: PathBuf,
    /// Its key.
    pub(crate) admin_key: PathBuf,
    /// The key that signs the tokens of service accounts.
    pub(crate) accounts_key: PathBuf,
    /// The public half of it.
    pub(crate) accounts_public_key: PathBuf,
}

impl Files {
    /// Makes them all anew, in `directory`.
    pub(crate) fn make(directory: &Path) -> Result<Self> {
        let authority = authority()?;
        let file = |name: &str| directory.join(name);
        let files = Self {
            authority: file("ca.crt"),
            server_certificate: file("server.crt"),
            server_key: file("server.key"),
            admin_certificate: file("admin.crt"),
            admin_key: file("admin.key"),
            accounts_key: file("accounts.key"),
            accounts_public_key: file("accounts.pub"),
        };
        write(&files.authority, &authority.pem())?;

        let mut server = CertificateParams::new(vec!["localhost".to_owned()]).map_err(refused)?;
        server.distinguished_name = name("kube-apiserver", None);
        server.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        issue(server, &authority, &files.server_certificate, &files.server_key)?;

        // The group may do all (Kubernetes' role `cluster-admin` is bound to it from the beginning).
        let mut admin = CertificateParams::default();
        admin.distinguished_name = name("admin", Some("system:masters"));
        admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        issue(admin, &authority, &files.admin_certificate, &files.admin_key)?;

        let accounts = KeyPair::generate().map_err(refused)?;
        write(&files.accounts_key, &accounts.serialize_pem())?;
        write(&files.accounts_public_key, &accounts.public_key_pem())?;
        Ok(files)
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("Sluice test cluster", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(refused)?).map_err(refused)
}

fn issue(
    mut params: CertificateParams,
    authority: &CertifiedIssuer<'static, KeyPair>,
    certificate: &Path,
    key: &Path,
) -> Result<()> {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let pair = KeyPair::generate().map_err(refused)?;
    write(certificate, &params.signed_by(&pair, authority).map_err(refused)?.pem())?;
    write(key, &pair.serialize_pem())
}

fn name(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| Error::file("can't write", path, error))
}

fn refused(error: rcgen::Error) -> Error {
    Error::Other(format!("can't make a certificate: {error}"))
}

use crate::algorithm::{Algorithm, AlgorithmSet};
use crate::config::{JwtConfig, KeyFetch, KeySource};
use crate::fetched_keys::{IssuerUrl, read_metadata, read_set, unverified};
use crate::key_set::KeySet;
use crate::keys::Keys;
use sluice_core::document::name::Name;
use sluice_core::document::problem::{FieldPath, Problems};
use sluice_core::document::scalar;
use sluice_core::document::variable::Variables;
use sluice_core::http::header::HeaderValue;
use sluice_core::resource::{Follow, Location, Resource, Schedule, Source};
use std::rc::Rc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);
const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// Where the document does not say.
const REFRESH: Duration = Duration::from_secs(300);
const EARLY: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);
const WITHIN: Duration = Duration::from_secs(2);
const MAX_SIZE: u64 = 256 << 10;
/// A set of a hundred keys of the longest kind takes a tenth of it.
const LARGEST_MAX_SIZE: u64 = 1 << 20;

impl JwtConfig {
    pub(super) fn compile_keys(
        &self,
        provider: &Name,
        path: &FieldPath,
        variables: Variables,
        problems: &mut Problems,
    ) -> Keys {
        let named = self.algorithms.as_ref();
        let accepted: AlgorithmSet =
            named.map_or_else(AlgorithmSet::quick, |list| list.iter().copied().collect());
        let keys_path = path.field("keys");
        let (source, schedule) = match &self.keys {
            KeySource::Inline(set) => {
                return Keys::Inline(Rc::new(self.key_set(set, accepted, path, variables, problems)));
            }
            KeySource::Remote(fetch) => {
                let path = keys_path.field("remote");
                (fetch.remote(&path, problems), fetch.schedule(&path, problems))
            }
            KeySource::Discovery(fetch) => {
                let path = keys_path.field("discovery");
                (fetch.discovery(&self.issuer, &path, problems), fetch.schedule(&path, problems))
            }
        };
        for (position, algorithm) in self.algorithms.iter().flatten().enumerate() {
            if algorithm.is_symmetric() {
                problems.report(
                    &path.field("algorithms").index(position),
                    format!("`{algorithm}` is verified with a shared secret, which can't be fetched"),
                );
            }
        }
        let accepted: AlgorithmSet = accepted.iter().filter(|algorithm| !algorithm.is_symmetric()).collect();
        let wanted: Vec<Algorithm> = self.algorithms.iter().flatten().copied().collect();
        let parse = move |bytes: &[u8]| {
            let mut parsed = read_set(bytes, accepted)?;
            parsed.remarks.extend(unverified(&wanted, &parsed.value));
            Ok(parsed)
        };
        let set: Resource<KeySet> = Resource::declare(&format!("authn.{provider}"), source, schedule, parse);
        Keys::Fetched { set, accepted }
    }
}

impl KeyFetch {
    fn remote(&self, path: &FieldPath, problems: &mut Problems) -> Source {
        if self.keys.is_some() {
            problems.report(
                &path.field("keys"),
                "only for `discovery`: here `cluster` and `path` say where the keys are",
            );
        }
        if self.path.is_none() {
            problems.report(
                &path.field("path"),
                "missing: the path of the key set, such as `/.well-known/jwks.json`",
            );
        }
        let authority = self.authority.as_deref().unwrap_or(&self.cluster);
        let location = self.location(authority, self.path.as_deref().unwrap_or("/"), path, problems);
        Source { first: location, follow: None }
    }

    fn discovery(&self, issuer: &str, path: &FieldPath, problems: &mut Problems) -> Source {
        let url = IssuerUrl::read(issuer).unwrap_or_else(|| {
            problems.report(
                path,
                format!("the metadata of an issuer is at its URL, and {issuer:?} is none such as `https://id.example.com`"),
            );
            IssuerUrl { scheme: String::new(), authority: String::new(), path: String::new() }
        });
        let default = url.metadata_path();
        let authority = self.authority.as_deref().unwrap_or(&url.authority);
        let first = self.location(authority, self.path.as_deref().unwrap_or(&default), path, problems);
        let keys = self.keys.as_ref();
        let keys_path = path.field("keys");
        let cluster = keys.and_then(|keys| keys.cluster.as_deref()).unwrap_or(&self.cluster);
        if keys.is_some() && cluster.is_empty() {
            problems.report(&keys_path.field("cluster"), EMPTY_CLUSTER);
        }
        let keys_authority = keys.and_then(|keys| keys.authority.as_deref()).unwrap_or(&url.authority);
        check_authority(keys_authority, &keys_path, problems);
        let (cluster, authority): (Rc<str>, Rc<str>) =
            (cluster.into(), keys_authority.to_ascii_lowercase().into());
        let identity = format!("keys of {issuer} at {cluster} {authority}").into();
        let (issuer, scheme) = (issuer.to_owned(), url.scheme);
        let leads_to = Rc::clone(&cluster);
        let read = move |bytes: &[u8]| {
            let path = read_metadata(bytes, &issuer, &scheme, &authority)?;
            Ok(Location { cluster: Rc::clone(&cluster), authority: Rc::clone(&authority), path: path.into() })
        };
        Source { first, follow: Some(Follow { cluster: leads_to, identity, read: Rc::new(read) }) }
    }

    fn location(&self, authority: &str, at: &str, path: &FieldPath, problems: &mut Problems) -> Location {
        if self.cluster.is_empty() {
            problems.report(&path.field("cluster"), EMPTY_CLUSTER);
        }
        check_authority(authority, path, problems);
        if !at.starts_with('/')
            || at.contains('#')
            || HeaderValue::new(at.as_bytes()).is_err()
            || at.contains(' ')
        {
            problems.report(&path.field("path"), format!("{at:?} is not a path: it begins with `/`"));
        }
        Location { cluster: self.cluster.as_str().into(), authority: authority.into(), path: at.into() }
    }

    fn schedule(&self, path: &FieldPath, problems: &mut Problems) -> Schedule {
        let mut time =
            |given: Option<scalar::Duration>, default, name, least: Duration, most: Duration, bounds| {
                let given = given.map_or(default, scalar::Duration::get);
                if !(least..=most).contains(&given) {
                    problems.report(&path.field(name), format!("from {bounds}"));
                }
                given
            };
        let refresh = time(self.refresh, REFRESH, "refresh", SECOND, WEEK, "1s to 7d");
        let shortest = time(
            self.shortest_refresh,
            refresh.min(MINUTE),
            "shortestRefresh",
            SECOND,
            refresh,
            "1s to `refresh`",
        );
        let longest =
            time(self.longest_refresh, refresh.max(HOUR), "longestRefresh", refresh, WEEK, "`refresh` to 7d");
        let early = time(self.early_refresh, EARLY, "earlyRefresh", SECOND, HOUR, "1s to 1h");
        let millisecond = Duration::from_millis(1);
        let stale = time(self.stale, DAY, "stale", millisecond, MONTH, "1ms to 30d");
        let timeout = time(self.timeout, TIMEOUT, "timeout", millisecond, MINUTE, "1ms to 1m");
        let within = time(self.within, WITHIN, "within", millisecond, MINUTE, "1ms to 1m");
        let most = self.max_size.map_or(MAX_SIZE, |size| size.bytes());
        if most == 0 || most > LARGEST_MAX_SIZE {
            problems.report(&path.field("maxSize"), "from 1B to 1MiB");
        }
        let most_bytes = usize::try_from(most).unwrap_or(usize::MAX);
        Schedule { refresh, shortest, longest, early, stale, timeout, within, most_bytes }
    }
}

const EMPTY_CLUSTER: &str = "empty: write the name of one of the proxy's clusters";

fn check_authority(authority: &str, path: &FieldPath, problems: &mut Problems) {
    let fine = |byte: u8| (0x21..0x7f).contains(&byte) && !b"/@?#".contains(&byte);
    if !authority.bytes().all(fine) {
        problems.report(&path.field("authority"), "not a host: write `id.example.com`");
    }
}

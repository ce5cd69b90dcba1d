use super::{SimulatedHost, SimulatedRequest};
use crate::caller::identity::Identity;
use serde_json::{Map, Value, json};
use std::rc::Rc;

/// A small world of rules and requests, for property tests: what is drawn follows from a seed, and there is so little of everything that
/// rules often meet each other and requests.
#[derive(Debug)]
pub struct World {
    bytes: std::vec::IntoIter<u8>,
}

const PATHS: [&str; 9] = ["/a", "/a/", "/a/b", "/a/b/c", "/b", "/**", "/a/**", "/a/*", "/{x}/b"];
const HOSTS: [&str; 4] = ["a.example.com", "b.example.com", "*.example.com", "*.a.example.com"];
const METHODS: [&str; 3] = ["GET", "PUT", "POST"];
const CIDRS: [&str; 4] = ["10.0.0.0/8", "10.1.0.0/16", "10.1.1.1", "192.0.2.0/24"];
const VALUES: [&str; 4] = ["x", "xy", "yx", "y"];
const PEERS: [&str; 3] = ["spiffe://d/ns/a/sa/b", "spiffe://d/ns/a/**", "spiffe://d/ns/c/sa/d"];

/// So many bytes that follow from `seed`, to draw a world from (splitmix64).
fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    };
    (0..count).flat_map(|_| next()).collect()
}

impl World {
    /// The world of this seed.
    pub fn new(seed: u64) -> Self {
        Self { bytes: bytes(seed, 512).into_iter() }
    }

    /// A number below `count`; 0 once 4,096 were drawn.
    pub fn below(&mut self, count: usize) -> usize {
        self.bytes.next().map_or(0, |byte| usize::from(byte).checked_rem(count).unwrap_or(0))
    }

    /// True once in `count` times.
    pub fn once_in(&mut self, count: usize) -> bool {
        self.below(count) == 1
    }

    fn one(&mut self, of: &[&str]) -> String {
        let position = self.below(of.len());
        of.get(position).copied().unwrap_or_default().to_owned()
    }

    fn some(&mut self, of: &[&str]) -> Value {
        let mut values = vec![self.one(of)];
        if self.once_in(3) {
            values.push(self.one(of));
        }
        json!(values)
    }

    fn value(&mut self) -> Value {
        match self.below(6) {
            0 => json!({ "prefix": self.one(&VALUES) }),
            1 => json!({ "suffix": self.one(&VALUES) }),
            2 => json!({ "present": self.once_in(2) }),
            3 => json!({ "contains": self.one(&VALUES) }),
            _ => self.some(&VALUES),
        }
    }

    fn any_or_all(&mut self) -> Value {
        if self.once_in(3) { json!({ "all": self.some(&VALUES) }) } else { self.some(&VALUES) }
    }

    /// A `match`.
    pub fn matches(&mut self) -> Value {
        self.matches_to(2)
    }

    fn matches_to(&mut self, depth: usize) -> Value {
        let mut keys = Map::new();
        if self.once_in(2) {
            keys.insert("paths".to_owned(), self.some(&PATHS));
        }
        if self.once_in(5) {
            keys.insert("hosts".to_owned(), self.some(&HOSTS));
        }
        if self.once_in(4) {
            keys.insert("methods".to_owned(), self.some(&METHODS));
        }
        if self.once_in(5) {
            let value = json!({ self.one(&["h", "i"]): self.value() });
            keys.insert("headers".to_owned(), value);
        }
        if self.once_in(7) {
            let value = json!({ "q": self.value() });
            keys.insert("query".to_owned(), value);
        }
        if self.once_in(7) {
            let value = json!({ "cidrs": self.some(&CIDRS) });
            keys.insert("client".to_owned(), value);
        }
        if depth > 0 && self.once_in(4) {
            let not = self.matches_to(depth.saturating_sub(1));
            if not != json!({}) {
                keys.insert("not".to_owned(), not);
            }
        }
        Value::Object(keys)
    }

    /// A `when`.
    pub fn when(&mut self) -> Value {
        self.when_to(2)
    }

    fn when_to(&mut self, depth: usize) -> Value {
        let mut keys = Map::new();
        if self.once_in(6) {
            keys.insert("authenticated".to_owned(), json!(self.once_in(2)));
        }
        if self.once_in(6) {
            keys.insert("consumers".to_owned(), self.some(&VALUES));
        }
        if self.once_in(4) {
            keys.insert("roles".to_owned(), self.any_or_all());
        }
        if self.once_in(6) {
            keys.insert("scopes".to_owned(), self.any_or_all());
        }
        if self.once_in(6) {
            let value = json!({ "c": self.value() });
            keys.insert("claims".to_owned(), value);
        }
        if self.once_in(6) {
            let value = json!({ "a": self.value() });
            keys.insert("attributes".to_owned(), value);
        }
        if self.once_in(6) {
            keys.insert("peers".to_owned(), self.some(&PEERS));
        }
        if depth > 0 && self.once_in(4) {
            let not = self.when_to(depth.saturating_sub(1));
            if not != json!({}) {
                keys.insert("not".to_owned(), not);
            }
        }
        Value::Object(keys)
    }

    /// A request, and from where it comes.
    pub fn request(&mut self) -> (SimulatedRequest, SimulatedHost) {
        let path =
            self.one(&["/a", "/a/", "/a/b", "/a/b/c", "/b", "/c/b", "/", "/a?q=x", "/a/b?q=xy&q=y", "/c"]);
        let mut request = SimulatedRequest::new(&self.one(&METHODS), &path);
        request.set_host(&self.one(&["a.example.com", "b.example.com", "c.a.example.com", "example.com"]));
        for name in ["h", "h", "i"] {
            if self.once_in(3) {
                request = request.header(name, self.one(&VALUES));
            }
        }
        if !self.once_in(3) {
            request = request.identity(self.identity());
        }
        let address = self.one(&["10.1.1.1", "10.1.0.1", "10.0.0.1", "192.0.2.1", "198.51.100.1"]);
        let mut environment = SimulatedHost::default().with_peer_address(&address);
        if self.once_in(2) {
            environment = environment.with_peer_identity(&self.one(&[
                "spiffe://d/ns/a/sa/b",
                "spiffe://d/ns/a/sa/x",
                "spiffe://d/ns/c/sa/d",
            ]));
        }
        (request, environment)
    }

    fn identity(&mut self) -> Identity {
        let mut list = || {
            let count = self.below(3);
            (0..count).map(|_| self.one(&VALUES)).collect::<Vec<String>>()
        };
        let (roles, scopes, groups) = (list(), list(), list());
        Identity {
            principal: "alice".to_owned(),
            consumer: self.once_in(2).then(|| self.one(&VALUES)),
            roles,
            scopes,
            claims: Rc::new(if self.once_in(2) {
                json!({ "c": groups })
            } else {
                json!({ "c": self.one(&VALUES) })
            }),
            attributes: self.once_in(2).then(|| ("a".to_owned(), self.one(&VALUES))).into_iter().collect(),
            ..Identity::default()
        }
    }
}

use super::*;
use sluice_core::caller::identity::Identity;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn accepted(provider: usize) -> Rc<Accepted> {
    Rc::new(Accepted { provider, identity: Rc::new(Identity::default()), headers: Vec::new() })
}

fn key() -> Fingerprint {
    crate::key::KeyMaterial::secret(vec![1; 32]).unwrap().fingerprint()
}

const LATER: UnixTime = UnixTime::from_seconds(100);
const NOW: UnixTime = UnixTime::from_seconds(50);

fn remember(cache: &mut TokenCache, token: &str, provider: usize, until: UnixTime) {
    let hash = cache.hash(token.as_bytes());
    cache.remember(token.as_bytes(), hash, accepted(provider), key(), until);
}

fn knows(cache: &TokenCache, token: &str, provider: usize, now: UnixTime) -> bool {
    matches!(
        cache.find(token.as_bytes(), cache.hash(token.as_bytes()), provider, now),
        Remembered::Accepted { accepted: found, .. } if found.provider == provider
    )
}

#[test]
fn a_token_is_remembered_for_the_provider_that_accepted_it_until_it_is_no_good() {
    let mut cache = TokenCache::new(16, 1);
    remember(&mut cache, "token", 3, LATER);
    assert!(knows(&cache, "token", 3, NOW));
    assert!(!knows(&cache, "token", 4, NOW));
    assert!(!knows(&cache, "tokem", 3, NOW));
    assert!(!knows(&cache, "token", 3, LATER), "its end is exclusive");
    let found = cache.find(b"token", cache.hash(b"token"), 4, NOW);
    assert!(matches!(found, Remembered::Signed { provider: 3, key: found } if found == key()));
    let found = cache.find(b"token", cache.hash(b"token"), 3, LATER);
    assert!(matches!(found, Remembered::Signed { provider: 3, .. }), "its signature stays good");
}

#[test]
fn tokens_of_one_hash_are_told_apart() {
    let mut cache = TokenCache::new(16, 1);
    let hash = cache.hash(b"one");
    cache.remember(b"one", hash, accepted(0), key(), LATER);
    assert!(matches!(cache.find(b"two", hash, 0, NOW), Remembered::Nothing));
}

#[test]
fn a_full_set_forgets_what_was_not_used_for_longest() {
    let mut cache = TokenCache::new(8, 1);
    let names: Vec<String> = (0..9).map(|number| format!("token-{number}")).collect();
    for name in &names[..8] {
        remember(&mut cache, name, 0, LATER);
    }
    assert!(knows(&cache, &names[0], 0, NOW));
    remember(&mut cache, &names[8], 0, LATER);
    let known: Vec<bool> = names.iter().map(|name| knows(&cache, name, 0, NOW)).collect();
    assert_eq!(known, [true, false, true, true, true, true, true, true, true]);
}

#[test]
fn it_never_holds_more_than_it_may() {
    let mut cache = TokenCache::new(100, 7);
    for number in 0..5000 {
        remember(&mut cache, &format!("token-{number}"), 0, LATER);
    }
    let held: usize = cache.sets.iter().map(Vec::len).sum();
    assert!((90..=104).contains(&held), "{held}");
    assert!(cache.sets.iter().all(|set| set.len() <= PLACES));
}

#[test]
fn a_cache_of_no_size_remembers_nothing() {
    let mut cache = TokenCache::new(0, 1);
    remember(&mut cache, "token", 0, LATER);
    assert!(!knows(&cache, "token", 0, NOW));
}

#[test]
fn another_seed_is_another_hash() {
    assert_ne!(TokenCache::new(1, 1).hash(b"token"), TokenCache::new(1, 2).hash(b"token"));
}

//! Which plugin takes the place of which.
//!
//! An update makes a new root context in the VM, beside the old one. Nothing says that it is an update: it may be a further listener's. So the
//! new plugin takes the policy of another only where that has the same name and is the only one of that name, and serves by it only
//! requests that come in where requests of that policy have come in before: at the same address, through the same chain of filters.

use crate::calls;
use crate::plugin::Plugin;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

/// The name and the root id of a plugin.
const NAMES: [&str; 2] = ["plugin_name", "plugin_root_id"];

/// Where a request came in: the listener's address, and the name of the chain of filters, if it has one.
const ADDRESS: &str = "destination\0address";
const CHAIN: &str = "xds\0filter_chain_name";

/// Of so many places it is known that requests come in there.
const MOST_PLACES: usize = 32;

/// After so many requests it is looked once more where they come in.
const LOOK_EVERY: u32 = 256;

thread_local! {
    /// The plugins of this VM.
    static PLUGINS: RefCell<Vec<Weak<Plugin>>> = const { RefCell::new(Vec::new()) };
}

/// Where requests of a policy have come in.
#[derive(Debug, Default)]
pub struct Places(RefCell<Vec<Vec<u8>>>);

/// What a plugin is to those before and behind it.
#[derive(Debug, Default)]
pub struct Succession {
    /// Its name, if it has one.
    name: RefCell<Option<Vec<u8>>>,
    /// Another has taken its place.
    pub(crate) succeeded: Cell<bool>,
    /// Where its own requests have come in.
    own: Rc<Places>,
    /// While it serves by another's policy: where that may be.
    adopted: RefCell<Option<Rc<Places>>>,
    requests: Cell<u32>,
}

/// Enters a plugin among those of this VM.
pub fn enter(plugin: &Rc<Plugin>) {
    PLUGINS.with(|plugins| {
        let mut plugins = plugins.borrow_mut();
        plugins.retain(|plugin| plugin.strong_count() > 0);
        plugins.push(Rc::downgrade(plugin));
    });
}

/// The first plugin of this VM that is so.
pub(crate) fn find(mut is_so: impl FnMut(&Plugin) -> bool) -> Option<Rc<Plugin>> {
    all().find(|plugin| is_so(plugin))
}

fn all() -> impl Iterator<Item = Rc<Plugin>> {
    let plugins: Vec<Weak<Plugin>> = PLUGINS.with(|plugins| plugins.borrow().clone());
    plugins.into_iter().filter_map(|plugin| plugin.upgrade())
}

/// Where the request of the current stream came in.
fn place() -> Option<Vec<u8>> {
    let mut place = calls::property(ADDRESS).ok()??;
    place.push(0);
    place.extend(calls::property(CHAIN).ok().flatten().unwrap_or_default());
    Some(place)
}

// === impl Places ===

impl Places {
    fn add(&self, place: Vec<u8>) {
        let mut places = self.0.borrow_mut();
        if places.len() < MOST_PLACES && !places.contains(&place) {
            places.push(place);
        }
    }

    fn has(&self, place: &Vec<u8>) -> bool {
        self.0.borrow().contains(place)
    }
}

// === impl Succession ===

impl Succession {
    /// Asks the host what the plugin is called.
    pub(crate) fn learn_name(&self) {
        let [name, root] = NAMES.map(|name| calls::property(name).ok().flatten().unwrap_or_default());
        let named = !name.is_empty();
        self.name.replace(named.then(|| [name, vec![0], root].concat()));
    }

    /// Whose place the plugin takes: the only one of its name that serves and that nobody has succeeded.
    pub(crate) fn former(&self) -> Option<Rc<Plugin>> {
        let name = self.name.borrow();
        name.as_ref()?;
        let mut same = all().filter(|other| {
            let succession = &other.succession;
            !std::ptr::eq(succession, self)
                && !succession.succeeded.get()
                && *succession.name.borrow() == *name
                && other.pipeline().is_some()
        });
        same.next().filter(|_| same.next().is_none())
    }

    /// From now on the plugin serves by the policy of `former`.
    pub(crate) fn adopt(&self, former: &Self) {
        former.succeeded.set(true);
        let places = former.adopted.borrow().clone().unwrap_or_else(|| Rc::clone(&former.own));
        self.adopted.replace(Some(places));
    }

    /// From now on the plugin serves by its own policy.
    pub(crate) fn stand_alone(&self) {
        self.adopted.replace(None);
    }

    /// Whether the plugin serves by another's policy.
    pub(crate) fn is_adopted(&self) -> bool {
        self.adopted.borrow().is_some()
    }

    /// A request comes. Whether it may be served by the policy that the plugin has, be it another's.
    pub(crate) fn admits(&self) -> bool {
        if let Some(places) = &*self.adopted.borrow() {
            let Some(place) = place().filter(|place| places.has(place)) else { return false };
            self.own.add(place);
            return true;
        }
        let requests = self.requests.get().wrapping_add(1);
        self.requests.set(requests);
        if (requests.is_power_of_two() || requests.is_multiple_of(LOOK_EVERY))
            && let Some(place) = place()
        {
            self.own.add(place);
        }
        true
    }
}

//! The standard library's texts, embedded. A test compares this table with the folder.

macro_rules! modules {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../stdlib/", $name, ".opt")))),*]
    };
}

/// Module names as `use` says them (a folder's modules with `/`), and their texts.
pub const MODULES: &[(&str, &str)] = modules![
    "bilevel",
    "dists/continuous",
    "dists/discrete",
    "dists/multivariate",
    "dists/positive",
    "dists/samplers",
    "expectations",
    "fixed_points",
    "krylov",
    "linalg",
    "methods/augmented_lagrangian",
    "methods/bilevel",
    "methods/coordinate",
    "methods/equilibrium",
    "methods/frank_wolfe",
    "methods/games",
    "methods/gradient",
    "methods/line_search",
    "methods/newton",
    "methods/proximal",
    "methods/quasi_newton",
    "methods/splitting",
    "nn",
    "rules",
    "rules/adaptive",
    "rules/layerwise",
    "rules/subspace",
    "schedules",
    "sets",
    "stats",
    "stops",
    "strategies",
    "terms",
    "transport",
    "vi",
];

/// The modules whose names are visible without `use`.
pub const PRELUDE: &[&str] = &[
    "terms",
    "sets",
    "rules",
    "rules/adaptive",
    "rules/layerwise",
    "rules/subspace",
    "schedules",
    "stops",
    "linalg",
    "krylov",
    "fixed_points",
    "stats",
    "bilevel",
    "expectations",
    "methods/line_search",
    "methods/gradient",
    "methods/proximal",
    "methods/quasi_newton",
    "methods/newton",
    "methods/coordinate",
    "methods/augmented_lagrangian",
    "methods/equilibrium",
    "methods/bilevel",
    "methods/games",
    "methods/splitting",
    "methods/frank_wolfe",
];

//! Given rules and requests: which fit.

use std::collections::BTreeSet;

use lb_model::policy::{HeaderChange, HeaderVerb, PathRewrite, Rewrite, Rule};
use lb_model::snapshot::Weight;

use super::facts::plain_path;
use super::*;

fn policy(rules: &[Rule]) -> L7Policy {
    L7Policy {
        id: PolicyId::generate(),
        rules: rules.to_vec(),
        rewrite: None,
        rate_limit: None,
        cors: None,
        jwt: None,
        basic_auth: None,
        mirror: None,
        pools: vec![],
        redirect: None,
        respond: None,
        reject: Some(Reject { code: 403 }),
    }
}

fn rule(kind: Subject, key: Option<&str>, compare: Compare, values: &[&str]) -> Rule {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Rule { kind, key: key.map(str::to_owned), compare, values, invert: false }
}

fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> Parts {
    let builder = http::Request::builder().method(method).uri(target);
    let builder = fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(()).unwrap().into_parts().0
}

fn origin() -> Origin {
    Origin::new(([192, 0, 2, 7], 5).into(), ([192, 0, 2, 100], 443).into(), "https", Some("Shop.example"))
}

/// Whether a request fits the rule.
fn fits(rule: &Rule, request: &Parts) -> bool {
    let policies = Policies::new(&[policy(std::slice::from_ref(rule))]).unwrap();
    let origin = origin();
    !policies.decide(request, &origin).fitting.is_empty()
}

#[test]
fn hosts_are_names_whatever_their_case_and_port() {
    let named = |host: &str| request("GET", "/", &[("host", host)]);
    let exact = rule(Subject::Host, None, Compare::Exact, &["shop.example", "www.shop.example"]);
    let all =
        ["shop.example", "SHOP.example:8080", "www.shop.example", "a.shop.example", "shop.example.evil"];
    assert_eq!(all.map(|host| fits(&exact, &named(host))), [true, true, true, false, false]);
    let below = rule(Subject::Host, None, Compare::Suffix, &[".shop.example"]);
    assert_eq!(all.map(|host| fits(&below, &named(host))), [false, false, true, true, false]);
    assert!(!fits(&exact, &request("GET", "/", &[])));
}

#[test]
fn a_path_is_compared_by_segments_however_it_is_written() {
    let admin = rule(Subject::Path, None, Compare::Prefix, &["/admin"]);
    let at = |target: &str| fits(&admin, &request("GET", target, &[]));
    for target in [
        "/admin",
        "/admin/",
        "/admin/x?y",
        "/%61dmin",
        "//admin",
        "/./admin",
        "/x/../admin/",
        "/x/%2e%2e/admin",
    ] {
        assert!(at(target), "{target}");
    }
    for target in ["/administrator", "/x/admin", "/Admin", "/admin%2Fx", "/"] {
        assert!(!at(target), "{target}");
    }
    let root = rule(Subject::Path, None, Compare::Prefix, &["/"]);
    assert!(fits(&root, &request("GET", "/anything", &[])));
    let images = rule(Subject::Path, None, Compare::Regex, &["^/img/[0-9]+\\.png$"]);
    assert!(fits(&images, &request("GET", "/img/12.png", &[])));
    assert!(!fits(&images, &request("GET", "/img/a.png", &[])));
}

#[test]
fn a_plain_path_is_the_same_again() {
    for (written, plain) in [
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/a//b///", "/a/b/"),
        ("/a/./b/.", "/a/b/"),
        ("/a/../../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/..", "/"),
        ("/%7euser/%e4%b8%ad%2f", "/~user/%E4%B8%AD%2F"),
        ("/%zz%", "/%zz%"),
        ("/a%2", "/a%2"),
        ("*", "*"),
    ] {
        assert_eq!(plain_path(written), plain);
        assert_eq!(plain_path(plain), plain);
    }
}

#[test]
fn fields_cookies_and_parameters_are_found_by_their_keys() {
    let request = request(
        "POST",
        "/?q=a%20b+c&empty&version=2&version=3",
        &[("x-version", "1"), ("x-version", "2"), ("cookie", "a=b; beta=on"), ("cookie", "session=x=y")],
    );
    let fits =
        |kind, key: &str, compare, values: &[&str]| fits(&rule(kind, Some(key), compare, values), &request);
    assert!(fits(Subject::Header, "x-version", Compare::Exact, &["2"]));
    assert!(!fits(Subject::Header, "x-version", Compare::Exact, &["1, 2", "3"]));
    assert!(fits(Subject::Header, "x-version", Compare::Present, &[]));
    assert!(!fits(Subject::Header, "x-other", Compare::Present, &[]));
    assert!(fits(Subject::Cookie, "beta", Compare::Exact, &["on"]));
    assert!(fits(Subject::Cookie, "session", Compare::Suffix, &["=y"]));
    assert!(!fits(Subject::Cookie, "bet", Compare::Present, &[]));
    assert!(fits(Subject::Query, "q", Compare::Exact, &["a b c"]));
    assert!(fits(Subject::Query, "version", Compare::Exact, &["3"]));
    assert!(fits(Subject::Query, "empty", Compare::Present, &[]));
    assert!(fits(Subject::Header, "x-version", Compare::Regex, &["^[0-9]$"]));
}

#[test]
fn methods_clients_and_tls_names() {
    let post = request("POST", "/", &[]);
    assert!(fits(&rule(Subject::Method, None, Compare::Exact, &["PUT", "POST"]), &post));
    assert!(!fits(&rule(Subject::Method, None, Compare::Exact, &["GET"]), &post));
    assert!(fits(
        &rule(Subject::Source, None, Compare::Network, &["198.51.100.0/24", "192.0.2.0/24"]),
        &post
    ));
    assert!(!fits(&rule(Subject::Source, None, Compare::Network, &["192.0.2.0/30"]), &post));
    assert!(fits(&rule(Subject::Sni, None, Compare::Exact, &["shop.example"]), &post));
    let mut not = rule(Subject::Method, None, Compare::Exact, &["GET"]);
    not.invert = true;
    assert!(fits(&not, &post));
}

#[test]
fn the_first_that_fits_and_ends_the_search_is_the_last() {
    let of = |host: &str| policy(&[rule(Subject::Host, None, Compare::Exact, &[host])]);
    let everything = policy(&[]);
    let mut marking = policy(&[]);
    marking.reject = None;
    marking.rewrite = Some(Rewrite::default());
    let all = [of("a"), marking, of("b"), of("a"), everything, of("b")];
    let policies = Policies::new(&all).unwrap();
    let origin = origin();
    let places = |host: &str| -> Vec<usize> {
        let request = request("GET", "/", &[("host", host)]);
        let decision = policies.decide(&request, &origin);
        let explained = policies.asked(&request, &origin).into_iter().filter(|asked| asked.misfit.is_none());
        let explained: Vec<_> = explained.map(|asked| asked.policy).collect();
        let decided: Vec<_> = decision.fitting.iter().map(|policy| policy.id).collect();
        assert_eq!(explained, decided, "what is explained is what is done");
        let ids = decision.fitting.iter().map(|policy| policy.id);
        ids.map(|id| all.iter().position(|policy| policy.id == id).unwrap()).collect()
    };
    assert_eq!(places("a"), [0]);
    assert_eq!(places("b"), [1, 2]);
    assert_eq!(places("c"), [1, 4]);
}

#[test]
fn pools_share_by_their_weights_and_follow_each_other() {
    let pools = [PoolId::generate(), PoolId::generate(), PoolId::generate()];
    let weights = [8, 0, 2].map(|weight| Weight::new(weight).unwrap());
    let shares: Vec<_> = (0..3).map(|at| WeightedPool { pool_id: pools[at], weight: weights[at] }).collect();
    let split = Split::new(&shares, &pools);
    let first: Vec<usize> = (0..10).map(|lot| split.drawn(lot).next().unwrap()).collect();
    assert_eq!(first, [0, 0, 0, 0, 0, 0, 0, 0, 2, 2]);
    assert_eq!(split.drawn(3).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(split.drawn(9).collect::<BTreeSet<_>>(), BTreeSet::from([0, 2]));
}

fn rewritten(rewrite: &Rewrite, mut request: Parts) -> Option<Parts> {
    Changes::new(rewrite).unwrap().change_request(&mut request).ok()?;
    Some(request)
}

#[test]
fn paths_are_rewritten_and_queries_stay() {
    let path = |compare, from: &str, to: &str, target: &str| {
        let path = Some(PathRewrite { compare, from: from.into(), to: to.into() });
        let request = rewritten(&Rewrite { path, ..Rewrite::default() }, request("GET", target, &[]));
        request.map(|request| request.uri.to_string())
    };
    let prefix = |from, to, target| path(Compare::Prefix, from, to, target).unwrap();
    assert_eq!(prefix("/api", "/", "/api/v1?x=1"), "/v1?x=1");
    assert_eq!(prefix("/api", "/", "/api"), "/");
    assert_eq!(prefix("/api/", "/v2/", "/x/../api/a"), "/v2/a");
    assert_eq!(prefix("/api", "/v2", "/apix//y"), "/apix//y", "what does not fit stays as it was written");
    let regex = |from, to, target| path(Compare::Regex, from, to, target);
    assert_eq!(regex("^/u/([a-z]+)$", "/users/$1/home", "/u/ann?q").unwrap(), "/users/ann/home?q");
    assert_eq!(regex("^/(.*)$", "$1", "/a").unwrap(), "/a");
}

#[test]
fn fields_are_changed_in_their_order() {
    let change = |change, name: &str, value: Option<&str>| HeaderChange {
        change,
        name: name.into(),
        value: value.map(str::to_owned),
    };
    let rewrite = Rewrite {
        host: Some("inner.example".into()),
        request_headers: vec![
            change(HeaderVerb::Remove, "x-a", None),
            change(HeaderVerb::Set, "x-b", Some("1")),
            change(HeaderVerb::Add, "x-b", Some("2")),
        ],
        ..Rewrite::default()
    };
    let request = request("GET", "/", &[("host", "shop.example"), ("x-a", "0"), ("x-b", "0")]);
    let request = rewritten(&rewrite, request).unwrap();
    let values =
        |name: &str| request.headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(
        (values("host"), values("x-a"), values("x-b")),
        (vec!["inner.example"], vec![], vec!["1", "2"])
    );
}

#[test]
fn what_the_api_refuses_is_not_worked_by_either() {
    assert!(Policies::new(&[policy(&[rule(Subject::Path, None, Compare::Regex, &["("])])]).is_err());
    assert!(
        Policies::new(&[policy(&[rule(Subject::Path, None, Compare::Regex, &["(\\w{500}){500}"])])]).is_err()
    );
    assert!(Policies::new(&[policy(&[rule(Subject::Cookie, None, Compare::Present, &[])])]).is_err());
}

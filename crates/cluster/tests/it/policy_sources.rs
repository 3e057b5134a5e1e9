//! Where a decision comes from: what nobody may do, superusers, rules that came with credentials, policies, the default;
//! and what a request fills into a pattern.

use crate::topics::{request, rule};
use rollcall_cluster::{
    AclClaim, Action, CertificateFields, CompiledPolicies, DecidedBy, Effect, OwnRules, Policy, PolicyError, Request,
};

fn claims(json: &str) -> Result<OwnRules, String> {
    let claims: Vec<AclClaim> = serde_json::from_str(json).map_err(|error| error.to_string())?;
    OwnRules::of_claims(&claims).map_err(|error| error.to_string())
}

#[test]
fn the_sources_are_asked_in_order() {
    let policies = [
        rule("no-own", Effect::Deny, &[Action::Pub], &["own/denied"]),
        rule("home", Effect::Allow, &[Action::Connect, Action::Pub, Action::Sub], &["home/#", "own/+"]),
    ];
    let stored = CompiledPolicies::new(&policies, Effect::Deny);
    let none = CompiledPolicies::new(&[], Effect::Deny);
    let own = claims(
        r#"[{"permission":"deny","action":"all","topic":"home/secret"},
            {"permission":"allow","action":"publish","topics":["up/${clientid}/#","own/denied"],"qos":[1],"retain":false},
            {"permission":"deny","action":"connect"}]"#,
    )
    .unwrap();
    type Ask = (Action, &'static str);
    type Case<'a> =
        (&'static str, &'a CompiledPolicies, bool, Option<&'a OwnRules>, Ask, bool, DecidedBy, Option<&'a str>);
    let (publish, subscribe, connect) = (Action::Pub, Action::Sub, Action::Connect);
    let cases: [Case<'_>; 17] = [
        ("a policy", &stored, false, None, (publish, "home/1"), true, DecidedBy::Policy, Some("home")),
        ("its denial", &stored, false, None, (publish, "own/denied"), false, DecidedBy::Policy, Some("no-own")),
        ("nothing matches", &stored, false, None, (publish, "x"), false, DecidedBy::Default, None),
        ("a superuser", &stored, true, None, (publish, "x"), true, DecidedBy::Superuser, None),
        (
            "not even a superuser",
            &stored,
            true,
            None,
            (publish, "$SYS/x"),
            false,
            DecidedBy::ReservedTopics,
            Some("reserved_topics"),
        ),
        ("a superuser reads events", &stored, true, None, (subscribe, "$events/#"), true, DecidedBy::Superuser, None),
        (
            "own rules first",
            &stored,
            false,
            Some(&own),
            (publish, "home/secret"),
            false,
            DecidedBy::OwnRules,
            Some("acl[0]"),
        ),
        (
            "own rules touch",
            &stored,
            false,
            Some(&own),
            (subscribe, "home/#"),
            false,
            DecidedBy::OwnRules,
            Some("acl[0]"),
        ),
        ("then policies", &stored, false, Some(&own), (publish, "home/1"), true, DecidedBy::Policy, Some("home")),
        ("own connect", &stored, false, Some(&own), (connect, ""), false, DecidedBy::OwnRules, Some("acl[2]")),
        ("at another qos", &stored, false, Some(&own), (publish, "up/c1/a"), false, DecidedBy::Default, None),
        ("no policy at all", &none, false, None, (publish, "x"), true, DecidedBy::BuiltIn, Some("default_policy")),
        (
            "the built-in one and events",
            &none,
            false,
            None,
            (subscribe, "$events/#"),
            false,
            DecidedBy::BuiltIn,
            Some("default_policy"),
        ),
        ("own rules bound it", &none, false, Some(&own), (publish, "x"), false, DecidedBy::Default, None),
        ("in reading, too", &none, false, Some(&own), (subscribe, "x"), false, DecidedBy::Default, None),
        ("own denial", &none, false, Some(&own), (publish, "home/secret"), false, DecidedBy::OwnRules, Some("acl[0]")),
        ("own connect again", &none, false, Some(&own), (connect, ""), false, DecidedBy::OwnRules, Some("acl[2]")),
    ];
    for (what, policies, superuser, own_rules, (action, resource), allowed, by, name) in cases {
        let decision = policies.decide(&Request { superuser, own_rules, ..request(action, resource) });
        assert_eq!((decision.allowed, decision.by, decision.rule), (allowed, by, name), "{what}");
    }
    let at_qos_1 =
        Request { own_rules: Some(&own), qos: rollcall_types::QoS::AtLeastOnce, ..request(Action::Pub, "up/c1/a") };
    assert_eq!(stored.decide(&at_qos_1).rule, Some("acl[1]"));
    assert!(!stored.decide(&Request { client_id: Some("c2"), ..at_qos_1 }).allowed, "another client's");
    assert!(!stored.decide(&Request { retain: true, ..at_qos_1 }).allowed, "retained");
    let as_anyone = Request { client_id: None, own_rules: Some(&own), ..request(Action::Connect, "") };
    assert_eq!(none.decide(&as_anyone).by, DecidedBy::OwnRules);
}

#[test]
fn an_acl_claim_that_cannot_be_used_is_refused_as_a_whole() {
    for (json, expected) in [
        (r#"[{"permission":"allow","action":"publish"}]"#, "names its topics"),
        (r#"[{"permission":"allow","action":"publish","topics":[]}]"#, "names its topics"),
        (r#"[{"permission":"allow","action":"publish","topic":"a+"}]"#, "must be a whole level"),
        (r#"[{"permission":"allow","action":"publish","topic":"${who}"}]"#, "variable"),
        (r#"[{"permission":"allow","action":"publish","topic":"a","qos":3}]"#, "qos"),
        (r#"[{"permission":"maybe","action":"publish","topic":"a"}]"#, "unknown variant"),
        (r#"[{"permission":"allow","action":"publish","topik":"a"}]"#, "unknown field"),
        (r#"[{"action":"publish","topic":"a"}]"#, "missing field"),
    ] {
        let refused = claims(json).unwrap_err();
        assert!(refused.contains(expected), "{json}: {refused}");
    }
    assert!(
        claims(
            r#"[{"permission":"allow","action":"sub","topic":"a","qos":1},{"permission":"deny","action":"connect"}]"#
        )
        .is_ok()
    );
}

#[test]
fn variables_stand_for_what_the_request_has() {
    let certificate = CertificateFields {
        common_name: Some("VIN7".into()),
        organization: Some("acme".into()),
        ..CertificateFields::default()
    };
    let with = |resource: &str, topic: &str, certificate: Option<&CertificateFields>| {
        let policies = [rule("r", Effect::Allow, &[Action::Pub, Action::Sub], &[resource])];
        let compiled = CompiledPolicies::new(&policies, Effect::Deny);
        assert_eq!(compiled.problems(), []);
        let asked =
            |action| Request { client_id: Some("dev-VIN7"), username: "u1", certificate, ..request(action, topic) };
        let (publish, subscribe) = (compiled.decide(&asked(Action::Pub)), compiled.decide(&asked(Action::Sub)));
        assert_eq!(publish.allowed, subscribe.allowed, "{resource} {topic}");
        publish.allowed
    };
    for (resource, topic, has_certificate, allowed) in [
        ("up/${ClientId}/+", "up/dev-VIN7/x", false, true),
        ("up/${clientId.substring(4)}/+", "up/VIN7/x", false, true),
        ("up/${ClientId.substring(0,3)}", "up/dev", false, true),
        ("up/${ClientId.substring(0,99)}", "up/dev-VIN7", false, false),
        ("${Username}/#", "u1/x", false, true),
        ("up/${Certificate.Subject.CommonName}", "up/VIN7", true, true),
        ("up/${Certificate.Subject.CommonName}", "up/VIN7", false, false),
        ("up/${Certificate.Subject.CommonName}", "up/", false, false),
        ("${Certificate.Subject.Organization}/${ClientId.substring(4,8)}/#", "acme/VIN7/a/b", true, true),
        ("up/${Certificate.Subject.Country}", "up/", true, false),
    ] {
        assert_eq!(with(resource, topic, has_certificate.then_some(&certificate)), allowed, "{resource} {topic}");
    }
    // A denial with a variable that has no value denies nothing, a filter with wildcards included.
    let deny = rule("d", Effect::Deny, &[Action::Sub], &["up/${Certificate.Subject.CommonName}"]);
    let all = rule("a", Effect::Allow, &[Action::Sub], &[]);
    let compiled = CompiledPolicies::new(&[deny, all], Effect::Deny);
    let subscribe = request(Action::Sub, "up/+");
    assert!(compiled.decide(&subscribe).allowed);
    assert!(!compiled.decide(&Request { certificate: Some(&certificate), ..subscribe }).allowed);
    let bound = Policy {
        client_id: Some("${Certificate.Subject.CommonName}".to_owned()),
        ..rule("bound", Effect::Allow, &[Action::Connect], &[])
    };
    let compiled = CompiledPolicies::new(&[bound], Effect::Deny);
    let connect = Request { client_id: Some("VIN7"), certificate: Some(&certificate), ..request(Action::Connect, "") };
    assert!(compiled.decide(&connect).allowed);
    assert!(!compiled.decide(&Request { client_id: Some("VIN8"), ..connect }).allowed);
    let unknown = rule("r", Effect::Allow, &[Action::Pub], &["${Certificate.Issuer}"]);
    assert!(matches!(unknown.validate(), Err(PolicyError::UnknownVariable(_))));
}

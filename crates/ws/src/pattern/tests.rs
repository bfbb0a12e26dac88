use super::*;

#[test]
fn a_star_is_any_run_and_everything_else_is_itself() {
    for (pattern, value, fits) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("*", "a/b", true),
        ("a*c", "ac", true),
        ("a*c", "abcbc", true),
        ("a*c", "abcb", false),
        ("a*b*c", "a-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("*ab", "aab", true),
        ("a.c", "abc", false),
        ("[a]?", "[a]?", true),
        ("(a|b)+", "a", false),
        ("\u{ed}*", "\u{ed}\u{e1}a", true),
        ("*a", "\u{ed}\u{e1}a", true),
        ("**", "x", true),
        ("A", "a", false),
    ] {
        assert_eq!(Pattern::new(pattern).matches(value), fits, "{pattern} {value}");
    }
}

#[test]
fn a_hostile_value_does_not_make_matching_slow() {
    let pattern = Pattern::new(&("a*".repeat(50) + "b"));
    assert!(!pattern.matches(&"a".repeat(100_000)));
}

fn params(pattern: &str, path: &str, query: Option<&str>) -> Option<String> {
    let found = PathPattern::parse(pattern).unwrap().matches(&escape::unreserved(path), query)?.unwrap();
    let found: Vec<String> = found.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    Some(found.join(" "))
}

#[test]
fn parameters_are_whole_segments_and_decoded() {
    for (pattern, path, expected) in [
        ("/orders/{site}", "/orders/n%C3%ADm", Some("site=n\u{ed}m")),
        ("/orders/{site}", "/orders/", None),
        ("/orders/{site}", "/orders/a/b", None),
        ("/orders/{site}", "/orders/a%2Fb", Some("site=a/b")),
        ("/orders/{site}", "/Orders/a", None),
        ("/{a}/x/{b}", "/1/x/2", Some("a=1 b=2")),
        ("/{a}/{b}/", "/1/2", None),
        ("/*/{last}", "/a/b/c", Some("last=c")),
        ("/*/x/{b}/*", "/x/x/1/x/2/y", Some("b=1")),
        ("/~a", "/%7ea", Some("")),
        ("/%7Ea", "/~a", Some("")),
        ("/a%2Fb", "/a%2Fb", Some("")),
        ("/a%2Fb", "/a/b", None),
        ("/\u{ed}", "/%C3%AD", Some("")),
        ("/\u{ed}", "/%c3%ad", Some("")),
        ("/a%2fb", "/a%2Fb", Some("")),
        ("/a//b", "/a/b", None),
        ("/a/./b", "/a/b", None),
        ("/metrics/*", "/metrics/", Some("")),
        ("/metrics/*", "/metrics", None),
        ("*", "/", Some("")),
    ] {
        assert_eq!(params(pattern, path, None).as_deref(), expected, "{pattern} {path}");
    }
}

#[test]
fn the_query_counts_only_where_the_pattern_has_one() {
    assert!(params("/a", "/a", Some("x=1")).is_some());
    assert!(params("/a?x=*", "/a", Some("x=1")).is_some());
    assert!(params("/a?x=*", "/a", None).is_none());
    assert!(params("/a*x=1", "/a", Some("x=1")).is_none());
    assert_eq!(params("/{id}?x=1", "/7", Some("x=1")).as_deref(), Some("id=7"));
}

#[test]
fn patterns_that_can_never_be_meant_are_refused() {
    let part = |name: &str| PatternError::PartOfSegment { name: name.to_owned() };
    for (pattern, problem) in [
        ("", PatternError::NoSlash),
        ("orders", PatternError::NoSlash),
        ("/{", PatternError::Braces),
        ("/a}", PatternError::Braces),
        ("/{}", PatternError::Braces),
        ("/{a b}", PatternError::Braces),
        ("/{{a}}", PatternError::Braces),
        ("/x{a}", part("a")),
        ("/{a}x", part("a")),
        ("/{a}*", part("a")),
        ("/a/../b", PatternError::ParentSegment),
        ("/%2e%2E", PatternError::ParentSegment),
        ("/a#b", PatternError::Fragment),
        ("/a?b#c", PatternError::Fragment),
        ("/a b", PatternError::Blank),
        ("/a\tb", PatternError::Blank),
        ("/%zz", PatternError::Escape),
        ("/a%", PatternError::Escape),
        ("/a%2", PatternError::Escape),
        ("/a?b=%2x", PatternError::Escape),
        ("/{a}/{a}", PatternError::Repeated { name: "a".to_owned() }),
    ] {
        assert_eq!(PathPattern::parse(pattern), Err(problem), "{pattern}");
    }
}

#[test]
fn a_star_may_stand_for_a_part_of_an_escape() {
    for pattern in ["/a%*", "/a%2*", "/%2F*", "/a%2f%C3%AD"] {
        assert!(PathPattern::parse(pattern).is_ok(), "{pattern}");
    }
}

#[test]
fn a_parameter_that_is_no_text_is_told() {
    let pattern = PathPattern::parse("/{a}/{b}").unwrap();
    for path in ["/%FF/x", "/x/%00", "/x/%0D%0A", "/%C3/x"] {
        assert_eq!(pattern.matches(path, None), Some(Err(NoText)), "{path}");
    }
    let all = PathPattern::parse("/*").unwrap();
    assert_eq!(all.matches("/%FF", None), Some(Ok(Vec::new())), "nobody decodes it");
}

#[test]
fn what_a_path_covers_is_known() {
    for (wide, narrow, expected) in [
        ("/a", "/a", true),
        ("/a", "/b", false),
        ("/%61", "/a", true),
        ("/*", "/a", true),
        ("*", "/a", true),
        ("/*", "*", false),
        ("*", "*", true),
        ("/a/*", "/a/b/*", true),
        ("/a/*", "/a*", false),
        ("/a*", "/a/*", true),
        ("/a/*", "/a/{x}", true),
        ("/a/{x}", "/a/{y}", true),
        ("/a/{x}", "/a/b", true),
        ("/a/{x}", "/a/*", false),
        ("/a/{x}", "/a/b*", false),
        ("/a/{x}", "/a/b/c", false),
        ("/a/b", "/a/{x}", false),
        ("/{x}/*", "/a*/b", false),
        ("/*b", "/a*b", true),
        ("/*b", "/a*", false),
        ("/a?x=1", "/a?x=1", true),
        ("/a?x=*", "/a?x=1", false),
        ("/a?x=1", "/a", false),
        ("/a", "/a?x=1", true),
        ("/a", "/b?x=1", false),
        ("/{x}", "/a?x=1", true),
        ("/a*b", "/a*b?x=1", false),
        ("/a*", "/ab*?x=1", false),
        ("/a*", "/ab?x=*", true),
    ] {
        let (wide_one, narrow_one) = (PathPattern::parse(wide).unwrap(), PathPattern::parse(narrow).unwrap());
        assert_eq!(wide_one.covers(Some(&narrow_one)), expected, "{wide} {narrow}");
    }
    for (wide, expected) in [("/*", true), ("*", true), ("/a*", false), ("/{x}", false), ("/*?*", false)] {
        assert_eq!(PathPattern::parse(wide).unwrap().covers(None), expected, "{wide}");
    }
}

#[test]
fn what_an_authority_covers_is_known() {
    for (wide, narrow, expected) in [
        ("a", "A:80", true),
        ("a:80", "a", false),
        ("a:*", "a:80", true),
        ("*.a", "b.a", true),
        ("*.a", "*.b.a", true),
        ("*.a", "a", false),
        ("*", "b", true),
    ] {
        let [wide_one, narrow_one] = [wide, narrow].map(|text| AuthorityPattern::parse(text).unwrap());
        assert_eq!(wide_one.covers(&narrow_one), expected, "{wide} {narrow}");
    }
}

#[test]
fn an_authority_is_told_from_a_url() {
    let refused = AuthorityPattern::parse("https://a.example:1/x").unwrap_err();
    assert_eq!(refused, PatternError::NoAuthority { rest: "a.example:1".to_owned() });
}

#[test]
fn a_port_counts_only_where_the_pattern_has_one() {
    for (pattern, authority, secure, fits) in [
        ("gate.example", "Gate.Example:7001", false, true),
        ("GATE.example:7001", "gate.example:7001", false, true),
        ("gate.example:80", "gate.example", false, true),
        ("gate.example:80", "gate.example", true, false),
        ("gate.example:443", "gate.example", true, true),
        ("*.example:*", "a.b.example:1", false, true),
        ("*.example", "example", false, false),
        ("gate.example*", "gate.example:80", false, true),
        ("[::1]", "[::1]:99", false, true),
        ("[::1]:98", "[::1]:99", false, false),
        ("[0:0::1]", "[::0001]", false, true),
        ("gate.example", "gate.example.", false, true),
        ("gate.example.:7001", "%67ate.example:7001", false, true),
        ("b\u{fc}cher.example", "xn--bcher-kva.example", false, true),
        ("*.b\u{dc}cher.example", "www.xn--bcher-kva.example", false, true),
    ] {
        let got = AuthorityPattern::parse(pattern).unwrap();
        let fits_it = got.matches(&Authority::parse(authority).unwrap(), secure);
        assert_eq!(fits_it, fits, "{pattern} {authority}");
    }
    for bad in ["", ":80", "a:b", "a:", "a:65536", "a:+1", "a b", "a/b", "https://a"] {
        assert!(AuthorityPattern::parse(bad).is_err(), "{bad}");
    }
}

//! The policy over the special ranges of the IANA registries.

use std::net::IpAddr;

use crate::outbound::{AddressPolicy, Allowed, is_public};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("a test address")
}

#[test]
fn ordinary_hosts_are_public() {
    for text in [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2606:4700::1111",
        "2a00:1450:4001::1",
        "3ffe::1",
    ] {
        assert!(is_public(ip(text)), "{text}");
    }
}

/// First and last address of every range of the registries.
#[test]
fn special_purpose_addresses_are_not_public() {
    for text in [
        // https://www.iana.org/assignments/iana-ipv4-special-registry
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.0.0",
        "169.254.169.254",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.8",
        "192.0.0.170",
        "192.0.0.255",
        "192.0.2.0",
        "192.0.2.255",
        "192.31.196.1",
        "192.52.193.1",
        "192.88.99.1",
        "192.168.0.0",
        "192.168.255.255",
        "192.175.48.1",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.254",
        "255.255.255.255",
        // https://www.iana.org/assignments/iana-ipv6-special-registry
        "::",
        "::1",
        "::ffff:8.8.8.8",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "100:0:0:1::1",
        "2001::1",
        "2001:1::1",
        "2001:2::1",
        "2001:3::1",
        "2001:4:112::1",
        "2001:10::1",
        "2001:20::1",
        "2001:30::1",
        "2001:1ff:ffff::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2620:4f:8000::1",
        "3fff::1",
        "3fff:fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(!is_public(ip(text)), "{text}");
    }
}

#[test]
fn one_bad_address_spoils_the_whole_answer() {
    let policy = AddressPolicy::default();
    assert_eq!(
        policy.check("a.example", &[ip("1.1.1.1"), ip("8.8.8.8")]),
        Ok(())
    );
    assert_eq!(
        policy.check("a.example", &[ip("1.1.1.1"), ip("10.0.0.1")]),
        Err(ip("10.0.0.1"))
    );
}

#[test]
fn an_allowed_subnet_opens_its_addresses_in_every_spelling_and_no_other() {
    let policy = AddressPolicy {
        allow: vec!["127.0.0.0/8".parse().expect("a subnet")],
    };
    assert!(policy.permits("127.0.0.1", ip("127.0.0.1")));
    assert!(policy.permits("[::ffff:127.0.0.1]", ip("::ffff:127.0.0.1")));
    assert!(!policy.permits("10.0.0.1", ip("10.0.0.1")));
    assert!(!policy.permits("[::1]", ip("::1")));
}

#[test]
fn an_allowed_host_may_resolve_to_anything_and_opens_no_other_host() {
    let policy = AddressPolicy {
        allow: vec!["ERP.internal".parse().expect("a host")],
    };
    assert!(policy.permits("erp.internal", ip("10.0.0.1")));
    assert!(policy.permits("erp.internal.", ip("10.0.0.1")));
    assert!(!policy.permits("evil.erp.internal", ip("10.0.0.1")));
    assert!(!policy.permits("erp.internal.evil.example", ip("10.0.0.1")));
}

#[test]
fn what_an_operator_may_write() {
    for (text, shown) in [
        ("10.20.0.0/16", "10.20.0.0/16"),
        ("10.20.3.4/16", "10.20.0.0/16"),
        ("127.0.0.1", "127.0.0.1/32"),
        ("fd00::/8", "fd00::/8"),
        ("::1", "::1/128"),
        ("Erp.Internal", "erp.internal"),
        ("localhost", "localhost"),
    ] {
        assert_eq!(text.parse::<Allowed>().expect(text).to_string(), shown);
    }
    for text in [
        "",
        "10.0.0.0/33",
        "10.1.2",
        "300.1.1.1",
        "http://a.example",
        "a..b",
        "*.internal",
    ] {
        let refused = text.parse::<Allowed>().expect_err(text);
        assert!(
            refused.to_string().contains("neither a subnet"),
            "{refused}"
        );
    }
}

//! What is told of a client's certificate.

use rcgen::{CustomExtension, DnType, DnValue, KeyPair, SanType, SerialNumber, date_time_ymd};
use rustls::pki_types::CertificateDer;

use super::{Files, files::openssl_says, params};
use crate::tls::{AlternativeName, PeerCertificate, peer::hex};

fn certificate(change: impl FnOnce(&mut rcgen::CertificateParams)) -> rcgen::Certificate {
    let mut params = params(&[]);
    params.distinguished_name = rcgen::DistinguishedName::new();
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn a_certificate_is_told_by_what_is_in_it() {
    let made = certificate(|params| {
        params.distinguished_name.push(DnType::CountryName, "DE");
        params.distinguished_name.push(DnType::OrganizationName, "Example, \"Inc\" #1");
        params.distinguished_name.push(DnType::CommonName, " alice\u{7f}é ");
        params.serial_number = Some(SerialNumber::from_slice(&[0, 0x0a, 0xbc]));
        params.not_after = date_time_ymd(4000, 1, 1);
        params.subject_alt_names = vec![
            SanType::DnsName("alice.example".try_into().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
            SanType::URI("spiffe://example.org/alice".try_into().unwrap()),
            SanType::Rfc822Name("alice@example.org".try_into().unwrap()),
        ];
    });
    let peer = PeerCertificate::new(made.der().clone());
    assert_eq!(peer.subject, "CN=\\ alice\\7Fé\\ ,O=Example\\, \\\"Inc\\\" #1,C=DE");
    assert_eq!(peer.issuer, peer.subject);
    assert_eq!(peer.serial, "abc");
    let names: Vec<String> = peer.alternative_names.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "DNS:alice.example",
            "IP:2001:db8::1",
            "IP:192.0.2.7",
            "URI:spiffe://example.org/alice",
            "email:alice@example.org"
        ]
    );
    assert_eq!(peer.not_after_s, 64_060_588_800);
    let value = peer.to_value();
    assert_eq!(value.get("subject").unwrap().as_str(), Some(peer.subject.as_str()));
    assert_eq!(value.get("fingerprint").unwrap().as_str(), Some(hex(&peer.sha256()).as_str()));
    assert_eq!(value.get("not_after").unwrap().as_i64(), Some(64_060_588_800));
    assert_eq!(value.get("sans").unwrap().as_array().map(<[_]>::len), Some(5));
    assert_eq!(value.as_record().unwrap().len(), 6);
}

/// Whoever chooses a common name must not choose the organization with it.
#[test]
fn one_part_of_a_name_cannot_pretend_to_be_two() {
    let told = |name: &str| {
        let made = certificate(|params| params.distinguished_name.push(DnType::CommonName, name));
        PeerCertificate::new(made.der().clone()).subject
    };
    assert_eq!(told("mallory,O=Admins"), "CN=mallory\\,O=Admins");
    assert_eq!(told("mallory+O=Admins"), "CN=mallory\\+O=Admins");
    assert_eq!(told("\\"), "CN=\\\\");
    assert_eq!(told("#"), "CN=\\#");
    assert_eq!(told(" "), "CN=\\ ");
    assert_eq!(told("a\0b\n"), "CN=a\\00b\\0A");
}

#[test]
fn odd_names_and_bytes_do_no_harm() {
    let made = certificate(|params| {
        params.distinguished_name.push(DnType::CustomDnType(vec![1, 2, 3, 4]), "odd");
        params.distinguished_name.push(DnType::CommonName, DnValue::BmpString("bmp".try_into().unwrap()));
        // A SAN extension that is none.
        let extension =
            CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 5, 0x82, 3, 0xff, 0xfe, 0xfd]);
        params.custom_extensions = vec![extension];
    });
    let peer = PeerCertificate::new(made.der().clone());
    assert!(
        peer.subject.starts_with("CN=#1e06") && peer.subject.ends_with(",1.2.3.4=odd"),
        "{}",
        peer.subject
    );
    assert!(peer.alternative_names.is_empty());
    for bytes in [&b""[..], b"garbage", &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]] {
        let peer = PeerCertificate::new(CertificateDer::from(bytes.to_vec()));
        assert_eq!((peer.subject.as_str(), peer.not_after_s), ("", 0));
    }
    assert_eq!(AlternativeName::Dns("a".into()).to_string(), "DNS:a");
}

#[test]
fn another_program_reads_the_same() {
    let files = Files::new();
    let made = certificate(|params| {
        params.distinguished_name.push(DnType::CountryName, "DE");
        params.distinguished_name.push(DnType::OrganizationName, "Example, Inc");
        params.distinguished_name.push(DnType::CommonName, "alice");
    });
    files.write("c.crt", &made.pem());
    let peer = PeerCertificate::new(made.der().clone());
    let plain = |text: String| text.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
    let Some(subject) = openssl_says(&files, "x509 -in c.crt -noout -subject -nameopt RFC2253") else {
        return;
    };
    assert_eq!(subject.trim(), format!("subject={}", peer.subject));
    for (arguments, ours) in [
        ("x509 -in c.crt -noout -fingerprint -sha256", hex(&peer.sha256())),
        ("x509 -in c.crt -noout -fingerprint -sha1", hex(&peer.sha1())),
        ("x509 -in c.crt -noout -serial", peer.serial),
    ] {
        let theirs = plain(openssl_says(&files, arguments).unwrap());
        assert_eq!(theirs.trim_start_matches('0'), ours.trim_start_matches('0'), "{arguments}");
    }
    openssl_says(&files, "x509 -in c.crt -noout -pubkey -out c.pub").unwrap();
    openssl_says(&files, "pkey -pubin -in c.pub -outform der -out c.spki").unwrap();
    let theirs = plain(openssl_says(&files, "dgst -sha256 c.spki").unwrap());
    let pin = crate::tls::pins::Pin::of(made.der()).unwrap().to_string();
    let bytes =
        base64::Engine::decode(&base64::prelude::BASE64_STANDARD, pin.trim_start_matches("sha256/")).unwrap();
    assert_eq!(theirs.trim(), hex(&bytes));
}

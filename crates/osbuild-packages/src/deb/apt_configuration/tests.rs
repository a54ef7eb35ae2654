use super::*;
use crate::deb::solve::PinTarget;

fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    root
}

fn read(files: &[(&str, &str)]) -> AptConfiguration {
    host_apt_configuration(root(files).path()).unwrap().unwrap()
}

#[test]
fn no_sources_is_no_configuration() {
    assert_eq!(host_apt_configuration(root(&[]).path()).unwrap(), None);
    let only_sources = [(
        "etc/apt/sources.list",
        "# nothing\ndeb-src http://mirror.invalid/d stable main\n",
    )];
    assert_eq!(
        host_apt_configuration(root(&only_sources).path()).unwrap(),
        None
    );
}

#[test]
fn reads_both_forms_in_the_order_of_their_names() {
    let configuration = read(&[
        (
            "etc/apt/sources.list",
            "deb [ arch=amd64,arm64 signed-by=/k/a.gpg ] http://a.invalid/d stable main contrib # c\n",
        ),
        ("etc/apt/sources.list.d/z.list", "deb\tfile:/srv/d ./\n"),
        (
            "etc/apt/sources.list.d/b.sources",
            "Types: deb deb-src\nURIs: https://b.invalid/d\nSuites: x x-updates\nComponents: main\nSigned-By: /k/b.asc, /k/c.gpg\nCheck-Valid-Until: no\n\nEnabled: no\nTypes: deb\nURIs: http://off.invalid\nSuites: y\nComponents: main\n",
        ),
        ("etc/apt/sources.list.d/c.sources.disabled", "nonsense"),
        ("etc/apt/sources.list.d/d.list.save", "nonsense"),
    ]);
    let mut first = Repository::new("http://a.invalid/d", "stable", &["main", "contrib"]);
    first.architectures = vec!["amd64".into(), "arm64".into()];
    first.keyring = vec!["/k/a.gpg".into()];
    let mut second = Repository::new("https://b.invalid/d", "x", &["main"]);
    second.keyring = vec!["/k/b.asc".into(), "/k/c.gpg".into()];
    second.check_valid_until = false;
    let third = Repository {
        suite: "x-updates".into(),
        ..second.clone()
    };
    let flat = Repository::new("file:///srv/d", "./", &[]);
    assert_eq!(configuration.repositories, vec![first, second, third, flat]);
}

#[test]
fn reads_keys_written_out_and_fingerprints() {
    let configuration = read(&[(
        "etc/apt/sources.list.d/a.sources",
        "Types: deb\nURIs: http://a.invalid\nSuites: s\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ==\n -----END PGP PUBLIC KEY BLOCK-----\n\nTypes: deb\nURIs: http://b.invalid\nSuites: s\nComponents: main\nSigned-By: 0123ABCD\n",
    )]);
    let [written, named] = &configuration.repositories[..] else {
        panic!("two sources")
    };
    assert_eq!(
        written.keys,
        ["-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----\n"]
    );
    assert_eq!(named.fingerprints, ["0123ABCD"]);
}

#[test]
fn a_list_of_mirrors_gives_its_first() {
    let configuration = read(&[
        (
            "etc/apt/sources.list",
            "deb mirror+file:/etc/apt/mirrors.txt stable main\ndeb cdrom:[disk] stable main\n",
        ),
        (
            "etc/apt/mirrors.txt",
            "# list\nhttp://near.invalid/d\tpriority:1\nhttp://far.invalid/d\n",
        ),
    ]);
    assert_eq!(
        configuration.repositories,
        vec![Repository::new(
            "http://near.invalid/d",
            "stable",
            &["main"]
        )]
    );
}

#[test]
fn proxies_of_http_serve_https_too_and_those_without_a_host_are_none() {
    let read_proxy = |lines: &str, url: &str| {
        let sources = "deb http://a.invalid stable main\n";
        let files = [
            ("etc/apt/sources.list", sources),
            ("etc/apt/apt.conf", lines),
        ];
        read(&files).proxies.proxy_for(url).cloned()
    };
    let both = "Acquire::http::Proxy \"http://p.invalid:1\"; Acquire::https::Proxy \"http://s.invalid:2\";";
    let url = |url: &str| Some(Proxy::Url(url.to_owned()));
    assert_eq!(
        read_proxy(both, "https://a.invalid"),
        url("http://s.invalid:2")
    );
    assert_eq!(
        read_proxy(both, "http://a.invalid"),
        url("http://p.invalid:1")
    );
    let one = "Acquire::http::Proxy \"http://me@p.invalid:1/\";";
    assert_eq!(
        read_proxy(one, "https://a.invalid"),
        url("http://me@p.invalid:1/")
    );
    for value in ["false", "DIRECT", "p.invalid:1", "http://", "http://:1"] {
        let line = format!("Acquire::http::Proxy \"{value}\";");
        assert_eq!(
            read_proxy(&line, "http://a.invalid"),
            Some(Proxy::Direct),
            "{value}"
        );
    }
}

#[test]
fn reads_proxies_and_pins() {
    let configuration = read(&[
        ("etc/apt/sources.list", "deb http://a.invalid stable main\n"),
        (
            "etc/apt/apt.conf.d/01proxy",
            "// p\nAcquire { http { Proxy \"http://p.invalid:3142\"; }; /* x */ Retries \"3\"; };\n#x\nAcquire::https::proxy \"DIRECT\";\nAcquire::http::Proxy { b.invalid \"http://own.invalid:8080\"; };\nacquire::http::proxy::C.invalid \"direct\";",
        ),
        (
            "etc/apt/preferences.d/pin",
            "Package: a b*\nPin: release a=testing\nPin-Priority: -1\n\n# x\nPackage: *\nPin: origin \"b.invalid\"\nPin-Priority: 900\n\nPackage: c\nPin: version 1.*\nPin-Priority: 1001\n",
        ),
    ]);
    let proxy = |url: &str| configuration.proxies.proxy_for(url).cloned();
    let general = Some(Proxy::Url("http://p.invalid:3142".into()));
    assert_eq!(proxy("http://a.invalid/debian"), general);
    assert_eq!(proxy("HTTP://user:word@A.invalid:80/debian"), general);
    let own = Some(Proxy::Url("http://own.invalid:8080".into()));
    assert_eq!(proxy("http://B.invalid:81/x?http://c.invalid"), own);
    assert_eq!(proxy("http://c.invalid"), Some(Proxy::Direct));
    // That of the host comes first, also when it is named for the other scheme.
    assert_eq!(proxy("https://b.invalid/x"), own);
    assert_eq!(proxy("https://a.invalid/x"), Some(Proxy::Direct));
    assert_eq!(proxy("file:///srv"), None);
    let pin = |package: &str, target, priority| Pin {
        package: package.into(),
        target,
        priority,
    };
    assert_eq!(
        configuration.pins,
        vec![
            pin("a", PinTarget::Release("testing".into()), -1),
            pin("b*", PinTarget::Release("testing".into()), -1),
            pin("*", PinTarget::Site("b.invalid".into()), 900),
            pin("c", PinTarget::Version("1.*".into()), 1001),
        ]
    );
}

#[test]
fn broken_sources_say_where() {
    for (file, text, expected) in [
        (
            "sources.list",
            "deb http://a.invalid\n",
            "line 1: deb http://a.invalid: a source has an address and a suite",
        ),
        (
            "sources.list",
            "\ndeb [x http://a.invalid s m\n",
            "line 2: deb [x http://a.invalid s m: `[` is not closed",
        ),
        (
            "sources.list",
            "dep http://a.invalid s m\n",
            "line 1: dep http://a.invalid s m: a source begins with `deb` or `deb-src`",
        ),
        (
            "sources.list.d/a.sources",
            "URIs: x\n",
            "stanza 1: the field `Types` is missing",
        ),
        (
            "sources.list.d/a.sources",
            "Types: deb\nURIs: x\nSuites: y\n",
            "stanza 1: the suite `y` needs a component",
        ),
    ] {
        let name = format!("etc/apt/{file}");
        let root = root(&[(&name, text)]);
        let error = host_apt_configuration(root.path()).unwrap_err();
        let path = root.path().join(&name);
        assert_eq!(
            format!("{error:#}"),
            format!("reading {}: {expected}", path.display())
        );
    }
}

//! Fetching from a server that misbehaves in every way we know.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use osbuild_fetch::{
    Algorithm, Checksum, FetchError, FetchEvent, FetchOptions, FetchRequest, Fetched, Hasher,
    MirrorListFormat, Proxy, SpeedLimit, fetch_all, fetch_bytes, fetch_bytes_until, fetch_mirrors,
};
use osbuild_testing::needs;
use osbuild_testing::private_mounts::in_private_mounts;
use osbuild_testing::server::{Answer, Server};

const MIB: usize = 1 << 20;
/// More than any test brings into memory.
const LIMIT: u64 = 16 << 20;

/// Bytes that compress badly and differ by seed.
fn content(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
    .take(size)
    .collect()
}

fn checksum(bytes: &[u8]) -> Checksum {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

fn options() -> FetchOptions {
    FetchOptions {
        first_delay: Duration::from_millis(1),
        longest_delay: Duration::from_millis(4),
        proxy: Proxy::Direct,
        ..FetchOptions::default()
    }
}

fn fetch(
    requests: &[FetchRequest],
    cache: &Path,
    options: &FetchOptions,
) -> Vec<Result<Fetched, FetchError>> {
    fetch_all(requests, cache, options, &AtomicBool::new(false), &|_| {})
}

fn fetch_one(request: FetchRequest, cache: &Path) -> Result<Fetched, FetchError> {
    fetch(&[request], cache, &options()).remove(0)
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs_err::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A server that answers for `/file`, and a cache.
struct Setting {
    server: Server,
    cache: tempfile::TempDir,
    file: Vec<u8>,
}

impl Setting {
    fn new(size: usize, answers: impl FnOnce(Vec<u8>) -> Vec<Answer>) -> Self {
        let file = content(size, 42);
        let server = Server::start().unwrap();
        server.answer("/file", answers(file.clone()));
        Self {
            server,
            cache: tempfile::tempdir().unwrap(),
            file,
        }
    }

    fn request(&self) -> FetchRequest {
        FetchRequest::new(self.server.url("/file"), checksum(&self.file))
    }

    fn fetch(&self) -> Result<Fetched, FetchError> {
        fetch_one(self.request(), self.cache.path())
    }

    fn assert_fetched(&self, fetched: &Fetched) {
        let name = checksum(&self.file).to_string();
        assert_eq!(names(self.cache.path()), [name.as_str()]);
        assert_eq!(fetched.path, self.cache.path().join(name));
        assert_eq!(fetched.bytes, self.file.len() as u64);
        assert!(fs_err::read(&fetched.path).unwrap() == self.file);
    }

    fn assert_cache_empty(&self) {
        assert_eq!(names(self.cache.path()), Vec::<String>::new());
    }

    /// The `Range` header of each request.
    fn ranges(&self) -> Vec<Option<String>> {
        self.server
            .requests()
            .iter()
            .map(|request| request.header("range").map(ToOwned::to_owned))
            .collect()
    }
}

#[test]
fn a_file_comes_once_and_is_cached_then() {
    let setting = Setting::new(3 * MIB, |file| vec![Answer::File(file)]);
    let fetched = setting.fetch().unwrap();
    assert!(!fetched.is_cached);
    setting.assert_fetched(&fetched);
    let mode = fs_err::metadata(&fetched.path)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o644);

    let again = setting.fetch().unwrap();
    assert!(again.is_cached);
    setting.assert_fetched(&again);
    let requests = setting.server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        requests[0].header("user-agent"),
        Some(
            format!(
                "osbuild (Linux.{}; https://osbuild.org/)",
                std::env::consts::ARCH
            )
            .as_str()
        )
    );
}

#[test]
fn a_wrong_checksum_names_both_and_leaves_nothing() {
    let setting = Setting::new(1000, |_| vec![Answer::File(content(1000, 7))]);
    let error = setting.fetch().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "checksum mismatch: `{}` gives {} instead of {} (gave up after 3 tries)",
            setting.server.url("/file"),
            checksum(&content(1000, 7)),
            checksum(&setting.file)
        )
    );
    setting.assert_cache_empty();
}

#[test]
fn a_missing_file_is_asked_for_once() {
    let setting = Setting::new(1, |_| vec![Answer::Status(404)]);
    let error = setting.fetch().unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        format!(
            "`{}`: the server answers 404 Not Found",
            setting.server.url("/file")
        )
    );
    assert_eq!(setting.server.requests().len(), 1);
    setting.assert_cache_empty();
}

#[test]
fn a_server_that_is_not_there_is_tried_ten_times() {
    // Nobody listens on the port of a server that has ended.
    let url = Server::start().unwrap().url("/file");
    let error = fetch_bytes(&url, LIMIT, &options()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot connect to fetch `{url}`: tcp connect error: Connection refused (os error 111) \
             (gave up after 10 tries)"
        )
    );
}

#[test]
fn an_ailing_server_is_asked_again() {
    let setting = Setting::new(1000, |file| {
        vec![Answer::Status(500), Answer::Status(500), Answer::File(file)]
    });
    let retries = Mutex::new(0);
    let results = fetch_all(
        &[setting.request()],
        setting.cache.path(),
        &options(),
        &AtomicBool::new(false),
        &|event| {
            if let FetchEvent::Retrying { reason, .. } = event {
                assert!(reason.contains("500 Internal Server Error"), "{reason}");
                *retries.lock().unwrap() += 1;
            }
        },
    );
    setting.assert_fetched(results[0].as_ref().unwrap());
    assert_eq!(*retries.lock().unwrap(), 2);
}

#[test]
fn a_server_that_stays_ill_is_tried_ten_times() {
    let setting = Setting::new(1, |_| vec![Answer::Status(503)]);
    let error = setting.fetch().unwrap_err();
    assert!(
        matches!(error, FetchError::GaveUp { tries: 10, .. }),
        "{error}"
    );
    assert_eq!(setting.server.requests().len(), 10);
    setting.assert_cache_empty();
}

#[test]
fn the_server_says_when_to_ask_again() {
    let setting = Setting::new(1000, |file| {
        vec![
            Answer::StatusWith(503, "Retry-After", "1".to_owned()),
            Answer::File(file),
        ]
    });
    let start = Instant::now();
    setting.assert_fetched(&setting.fetch().unwrap());
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_reset_transfer_goes_on_where_it_ended() {
    let setting = Setting::new(MIB, |file| {
        vec![
            Answer::ResetAfter(file.clone(), 300_000),
            Answer::File(file),
        ]
    });
    setting.assert_fetched(&setting.fetch().unwrap());
    let ranges = setting.ranges();
    assert_eq!(ranges[0], None);
    let start: usize = ranges[1]
        .as_ref()
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'))
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=300_000).contains(&start), "{start}");
}

#[test]
fn a_truncated_body_is_no_file() {
    let setting = Setting::new(MIB, |file| {
        vec![
            Answer::EndAfter(file.clone(), 1000),
            Answer::EndAfter(file.clone(), 1000),
            Answer::File(file),
        ]
    });
    setting.assert_fetched(&setting.fetch().unwrap());
    let ranges = setting.ranges();
    let ranges: Vec<_> = ranges.iter().map(Option::as_deref).collect();
    assert_eq!(ranges, [None, Some("bytes=1000-"), Some("bytes=2000-")]);

    let always = Setting::new(MIB, |file| vec![Answer::EndAfter(file, 0)]);
    let error = always.fetch().unwrap_err();
    assert!(
        matches!(error.cause(), FetchError::Broken { .. }),
        "{error}"
    );
    always.assert_cache_empty();
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let setting = Setting::new(MIB, |file| {
        vec![
            Answer::EndAfter(file.clone(), 1000),
            Answer::WholeFile(file),
        ]
    });
    setting.assert_fetched(&setting.fetch().unwrap());
}

#[test]
fn pieces_of_two_versions_are_thrown_away() {
    let setting = Setting::new(MIB, |file| {
        vec![Answer::EndAfter(content(MIB, 7), 1000), Answer::File(file)]
    });
    setting.assert_fetched(&setting.fetch().unwrap());
    let ranges = setting.ranges();
    let ranges: Vec<_> = ranges.iter().map(Option::as_deref).collect();
    assert_eq!(ranges, [None, Some("bytes=1000-"), None]);
}

#[test]
fn a_stalled_transfer_is_given_up_and_tried_again() {
    let setting = Setting::new(MIB, |file| {
        vec![
            Answer::Silence,
            Answer::StallAfter(file.clone(), 5000),
            Answer::File(file),
        ]
    });
    let options = FetchOptions {
        connect_timeout: Duration::from_secs(1),
        speed_limit: SpeedLimit {
            bytes_per_second: 1000,
            patience: Duration::from_secs(1),
        },
        ..options()
    };
    let start = Instant::now();
    let results = fetch(&[setting.request()], setting.cache.path(), &options);
    setting.assert_fetched(results[0].as_ref().unwrap());
    assert!(start.elapsed() >= Duration::from_secs(2));
    let ranges = setting.ranges();
    let ranges: Vec<_> = ranges.iter().map(Option::as_deref).collect();
    assert_eq!(ranges, [None, None, Some("bytes=5000-")]);
}

#[test]
fn a_server_that_stays_silent_is_given_up_soon() {
    let setting = Setting::new(MIB, |file| {
        vec![Answer::StallAfter(file, 5000), Answer::Silence]
    });
    let options = FetchOptions {
        connect_timeout: Duration::from_secs(1),
        speed_limit: SpeedLimit {
            bytes_per_second: 1000,
            patience: Duration::from_secs(1),
        },
        ..options()
    };
    let error = fetch(&[setting.request()], setting.cache.path(), &options)
        .remove(0)
        .unwrap_err();
    // The first try brought something; only those after it count.
    assert!(
        matches!(error, FetchError::GaveUp { tries: 4, .. }),
        "{error}"
    );
    assert_eq!(setting.ranges().len(), 4);
}

#[test]
fn a_silent_host_is_given_up_for_all_its_files() {
    let setting = Setting::new(1, |_| vec![Answer::Silence]);
    let requests: Vec<FetchRequest> = (0..60_u64)
        .map(|seed| FetchRequest::new(setting.server.url("/file"), checksum(&content(8, seed * 2))))
        .collect();
    let options = FetchOptions {
        connect_timeout: Duration::from_secs(1),
        speed_limit: SpeedLimit {
            bytes_per_second: 1000,
            patience: Duration::from_millis(500),
        },
        per_host: NonZeroUsize::new(4).unwrap(),
        ..options()
    };
    let results = fetch(&requests, setting.cache.path(), &options);
    assert!(results.iter().all(Result::is_err));
    // Three times for each file that may be under way, and those that were when the last of them ended: about 16, and
    // three for each file, were they not given up together.
    let asked = setting.ranges().len();
    assert!(asked < requests.len(), "{asked}");
}

#[test]
fn what_is_brought_into_memory_has_a_limit() {
    let setting = Setting::new(MIB, |file| vec![Answer::File(file)]);
    let url = setting.server.url("/file");
    assert!(fetch_bytes(&url, MIB as u64, &options()).unwrap() == setting.file);
    let error = fetch_bytes(&url, MIB as u64 - 1, &options()).unwrap_err();
    assert!(
        error.to_string().contains("or longer, not 1048575"),
        "{error}"
    );
}

#[test]
fn a_trickle_is_a_stall_too() {
    let setting = Setting::new(MIB, |file| {
        vec![Answer::Slowly(file, 1, Duration::from_millis(20))]
    });
    let options = FetchOptions {
        tries: NonZeroUsize::MIN,
        speed_limit: SpeedLimit {
            bytes_per_second: 1000,
            patience: Duration::from_millis(400),
        },
        ..options()
    };
    let error = fetch(&[setting.request()], setting.cache.path(), &options)
        .remove(0)
        .unwrap_err();
    assert!(
        matches!(error, FetchError::Stalled { received: 1.., .. }),
        "{error}"
    );
    setting.assert_cache_empty();
}

#[test]
fn redirects_are_followed_but_not_in_circles() {
    let setting = Setting::new(1000, |file| vec![Answer::File(file)]);
    let server = &setting.server;
    server.answer("/moved", [Answer::Redirect(server.url("/file"))]);
    server.answer("/a", [Answer::Redirect(server.url("/b"))]);
    server.answer("/b", [Answer::Redirect(server.url("/a"))]);
    let request = |path: &str| FetchRequest::new(server.url(path), checksum(&setting.file));

    let error = fetch_one(request("/a"), setting.cache.path()).unwrap_err();
    assert!(
        matches!(error.cause(), FetchError::Redirects { .. }),
        "{error}"
    );
    setting.assert_cache_empty();
    setting.assert_fetched(&fetch_one(request("/moved"), setting.cache.path()).unwrap());
}

#[test]
fn the_next_mirror_steps_in() {
    let setting = Setting::new(1000, |file| vec![Answer::File(file)]);
    let server = &setting.server;
    server.answer("/ill", [Answer::Status(500)]);
    server.answer("/wrong", [Answer::File(content(1000, 7))]);
    // Nobody listens on the port of a server that has ended.
    let gone = Server::start().unwrap().url("/file");
    let mut request = setting.request();
    request.urls = vec![
        gone,
        server.url("/missing"),
        server.url("/ill"),
        server.url("/wrong"),
        "ftp://127.0.0.1/file".to_owned(),
        server.url("/file"),
    ];
    let start = Instant::now();
    setting.assert_fetched(&fetch_one(request, setting.cache.path()).unwrap());
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_mirror_that_failed_one_file_is_asked_last_for_the_others() {
    let (bad, good) = (Server::start().unwrap(), Server::start().unwrap());
    let cache = tempfile::tempdir().unwrap();
    let requests: Vec<_> = (1..=12)
        .map(|seed| {
            let path = format!("/{seed}");
            let file = content(100, 2 * seed);
            bad.answer(&path, [Answer::Status(500)]);
            let mut request = FetchRequest::new(bad.url(&path), checksum(&file));
            request.urls.push(good.url(&path));
            good.answer(&path, [Answer::File(file)]);
            request
        })
        .collect();
    let options = FetchOptions {
        jobs: NonZeroUsize::MIN,
        ..options()
    };
    for result in fetch(&requests, cache.path(), &options) {
        result.unwrap();
    }
    assert_eq!((bad.requests().len(), good.requests().len()), (1, 12));
}

#[test]
fn metadata_is_fetched_with_a_requests_mirrors_and_lists_of_them_are_read() {
    let server = Server::start().unwrap();
    server.answer(
        "/list",
        [Answer::File(b"# x\nrsync://a/\nhttp://b/r\n".to_vec())],
    );
    let list = |path: &str| {
        let mut request = FetchRequest::new(server.url("/gone"), checksum(b""));
        request.urls.push(server.url(path));
        let cancel = AtomicBool::new(false);
        fetch_mirrors(&request, MirrorListFormat::Plain, &options(), &cancel)
    };
    assert_eq!(list("/list").unwrap(), ["http://b/r"]);
    let error = list("/missing").unwrap_err().to_string();
    assert!(error.contains("404"), "{error}");
    server.answer("/long", [Answer::File(vec![b'#'; 5 * MIB])]);
    assert!(list("/long").is_err());
}

#[test]
fn many_files_come_at_once_but_not_too_many_from_one_host() {
    let server = Server::start().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let files: Vec<_> = (1..=24).map(|seed| content(10_000, seed)).collect();
    let requests: Vec<_> = files
        .iter()
        .enumerate()
        .map(|(index, file)| {
            let path = format!("/{index}");
            let pause = Duration::from_millis(10);
            server.answer(&path, [Answer::Slowly(file.clone(), 2500, pause)]);
            FetchRequest::new(server.url(&path), checksum(file))
        })
        .collect();
    let options = FetchOptions {
        per_host: NonZeroUsize::new(3).unwrap(),
        ..options()
    };
    let last = Mutex::new(None);
    let results = fetch_all(
        &requests,
        cache.path(),
        &options,
        &AtomicBool::new(false),
        &|event| {
            if matches!(event, FetchEvent::Progress { .. }) {
                *last.lock().unwrap() = Some(event);
            }
        },
    );
    for (result, file) in results.iter().zip(&files) {
        let fetched = result.as_ref().unwrap();
        assert!(fs_err::read(&fetched.path).unwrap() == *file);
    }
    assert_eq!(server.most_at_work(), 3);
    assert_eq!(
        last.into_inner().unwrap(),
        Some(FetchEvent::Progress {
            bytes_done: 240_000,
            bytes_total: Some(240_000),
            files_done: 24,
            files_total: 24,
        })
    );
}

#[test]
fn one_bad_file_does_not_spoil_the_others() {
    let setting = Setting::new(1000, |file| vec![Answer::File(file)]);
    let missing = FetchRequest::new(setting.server.url("/missing"), checksum(b"x"));
    let results = fetch(
        &[missing, setting.request()],
        setting.cache.path(),
        &options(),
    );
    assert!(results[0].as_ref().unwrap_err().is_not_found());
    setting.assert_fetched(results[1].as_ref().unwrap());
}

#[test]
fn two_fetchers_load_a_file_once() {
    let setting = Setting::new(100_000, |file| {
        vec![Answer::Slowly(file, 10_000, Duration::from_millis(20))]
    });
    let cached: Vec<bool> = std::thread::scope(|scope| {
        let fetchers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| setting.fetch().unwrap().is_cached))
            .collect();
        fetchers
            .into_iter()
            .map(|fetcher| fetcher.join().unwrap())
            .collect()
    });
    assert_eq!(cached.iter().filter(|&&cached| !cached).count(), 1);
    assert_eq!(setting.server.requests().len(), 1);
    setting.assert_fetched(&setting.fetch().unwrap());
}

#[test]
fn when_the_first_fetcher_fails_the_second_takes_over() {
    let setting = Setting::new(1000, |file| {
        vec![Answer::StallAfter(file.clone(), 10), Answer::File(file)]
    });
    let impatient = FetchOptions {
        tries: NonZeroUsize::MIN,
        speed_limit: SpeedLimit {
            bytes_per_second: 1000,
            patience: Duration::from_millis(300),
        },
        ..options()
    };
    std::thread::scope(|scope| {
        let first =
            scope.spawn(|| fetch(&[setting.request()], setting.cache.path(), &impatient).remove(0));
        while setting.server.requests().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        setting.assert_fetched(&setting.fetch().unwrap());
        assert!(first.join().unwrap().is_err());
    });
}

#[test]
fn what_a_killed_fetcher_left_is_finished() {
    let setting = Setting::new(10_000, |file| vec![Answer::File(file)]);
    let left = setting
        .cache
        .path()
        .join(format!(".unverified-{}", checksum(&setting.file)));
    fs_err::write(&left, &setting.file[..4000]).unwrap();
    setting.assert_fetched(&setting.fetch().unwrap());
    assert_eq!(setting.ranges(), [Some("bytes=4000-".to_owned())]);

    let whole = Setting::new(10_000, |file| vec![Answer::File(file)]);
    let left = whole
        .cache
        .path()
        .join(format!(".unverified-{}", checksum(&whole.file)));
    fs_err::write(&left, &whole.file).unwrap();
    whole.assert_fetched(&whole.fetch().unwrap());
}

#[test]
fn cancelling_ends_soon_and_leaves_nothing() {
    let setting = Setting::new(MIB, |file| vec![Answer::StallAfter(file, 1000)]);
    let cancel = AtomicBool::new(false);
    let start = Instant::now();
    let results = std::thread::scope(|scope| {
        scope.spawn(|| {
            while setting.server.requests().is_empty() {
                std::thread::sleep(Duration::from_millis(1));
            }
            cancel.store(true, Ordering::SeqCst);
        });
        fetch_all(
            &[setting.request()],
            setting.cache.path(),
            &options(),
            &cancel,
            &|_| {},
        )
    });
    assert!(matches!(results[0], Err(FetchError::Cancelled { .. })));
    assert!(start.elapsed() < Duration::from_secs(30));
    setting.assert_cache_empty();

    let error =
        fetch_bytes_until(&setting.server.url("/file"), LIMIT, &options(), &cancel).unwrap_err();
    assert!(matches!(error, FetchError::Cancelled { .. }));
}

#[test]
fn a_file_larger_than_promised_is_cut_off() {
    let setting = Setting::new(1000, |_| vec![Answer::File(content(MIB, 7))]);
    let mut request = setting.request();
    request.size = Some(1000);
    let error = fetch_one(request, setting.cache.path()).unwrap_err();
    assert!(error.to_string().contains("not 1000"), "{error}");
    setting.assert_cache_empty();
}

#[test]
fn metadata_comes_into_memory() {
    let setting = Setting::new(MIB, |file| {
        vec![Answer::EndAfter(file.clone(), 1000), Answer::File(file)]
    });
    let bytes = fetch_bytes(&setting.server.url("/file"), LIMIT, &options()).unwrap();
    assert!(bytes == setting.file);
    let error = fetch_bytes(&setting.server.url("/missing"), LIMIT, &options()).unwrap_err();
    assert!(error.is_not_found());
}

#[test]
fn files_of_this_machine_have_urls_too() {
    let setting = Setting::new(MIB, |_| vec![Answer::Status(404)]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a file");
    fs_err::write(&path, &setting.file).unwrap();
    let url = format!("file://{}/a%20file", directory.path().display());
    let mut request = setting.request();
    request.urls = vec![url.clone()];
    setting.assert_fetched(&fetch_one(request, setting.cache.path()).unwrap());
    assert!(fetch_bytes(&url, LIMIT, &options()).unwrap() == setting.file);
    let error = fetch_bytes("file:///no/such/file", LIMIT, &options()).unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[test]
fn a_proxy_is_asked_instead_of_the_host() {
    let proxy = Server::start().unwrap();
    let url = "http://host.invalid/file";
    proxy.answer(url, [Answer::File(b"from the proxy".to_vec())]);
    let address = proxy.url("");
    for spelling in [address.as_str(), address.trim_start_matches("http://")] {
        let options = FetchOptions {
            proxy: Proxy::Url(spelling.to_owned()),
            ..options()
        };
        assert_eq!(
            fetch_bytes(url, LIMIT, &options).unwrap(),
            b"from the proxy"
        );
    }
}

#[test]
fn passwords_do_not_get_into_errors() {
    let server = Server::start().unwrap();
    let url = server.url("/file").replace("http://", "http://me:secret@");
    let error = fetch_bytes(&url, LIMIT, &options())
        .unwrap_err()
        .to_string();
    assert!(
        !error.contains("secret") && error.contains("me@"),
        "{error}"
    );
    let requests = server.requests();
    assert_eq!(
        requests[0].header("authorization"),
        Some("Basic bWU6c2VjcmV0")
    );
}

#[test]
fn names_that_leave_the_cache_are_refused() {
    let setting = Setting::new(1, |file| vec![Answer::File(file)]);
    for name in ["../x", "/x", "a/b", ".", "..", ".hidden", ""] {
        let mut request = setting.request();
        request.file_name = name.to_owned();
        let error = fetch_one(request, setting.cache.path()).unwrap_err();
        assert!(matches!(error, FetchError::Setup { .. }), "{name}: {error}");
    }
    assert_eq!(setting.server.requests(), []);
}

#[test]
fn a_name_on_this_machine_is_resolved_without_the_c_library() {
    let setting = Setting::new(10, |file| vec![Answer::File(file)]);
    let url = setting
        .server
        .url("/file")
        .replace("127.0.0.1", "localhost");
    assert!(fetch_bytes(&url, LIMIT, &options()).unwrap() == setting.file);
}

/// Mounts an empty ext4 of so many MiB and hands over its directory.
fn with_small_disk(size: u64, body: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let mount_point = directory.path().join("disk");
    fs_err::create_dir(&mount_point).unwrap();
    let file = fs_err::File::create(&image).unwrap();
    file.set_len(size << 20).unwrap();
    let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
        let status = Command::new(program).args(arguments).status().unwrap();
        assert!(status.success(), "{program}");
    };
    run("mkfs.ext4", &["-q".as_ref(), image.as_ref()]);
    run(
        "mount",
        &[
            "-o".as_ref(),
            "loop".as_ref(),
            image.as_ref(),
            mount_point.as_ref(),
        ],
    );
    body(&mount_point);
    run("umount", &[mount_point.as_ref()]);
}

#[test]
fn a_full_disk_is_named_before_it_is_filled() {
    needs![root, tool("mkfs.ext4"), tool("unshare"), tool("mount")];
    in_private_mounts("a_full_disk_is_named_before_it_is_filled", || {
        with_small_disk(4, |disk| {
            let setting = Setting::new(8 * MIB, |file| vec![Answer::File(file)]);
            let cache = disk.join("cache");
            fs_err::create_dir(&cache).unwrap();
            let error = fetch_one(setting.request(), &cache).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("8388608 more bytes are needed"), "{text}");
            assert!(
                text.contains(&format!("`{}` (ext4 on /dev/loop", disk.display())),
                "{text}"
            );
            assert_eq!(names(&cache), Vec::<String>::new());
            assert_eq!(setting.server.requests().len(), 1);
        });
    });
}

#[test]
fn a_disk_that_fills_up_on_the_way_is_named_too() {
    needs![root, tool("mkfs.ext4"), tool("unshare"), tool("mount")];
    in_private_mounts("a_disk_that_fills_up_on_the_way_is_named_too", || {
        with_small_disk(4, |disk| {
            // Two files that fit one by one, at the same time.
            let server = Server::start().unwrap();
            let requests: Vec<_> = (1..=2)
                .map(|seed| {
                    let file = content(2 * MIB, seed);
                    let path = format!("/{seed}");
                    let pause = Duration::from_millis(5);
                    server.answer(&path, [Answer::Slowly(file.clone(), MIB / 16, pause)]);
                    FetchRequest::new(server.url(&path), checksum(&file))
                })
                .collect();
            let cache = disk.join("cache");
            fs_err::create_dir(&cache).unwrap();
            let results = fetch(&requests, &cache, &options());
            let full: Vec<_> = results
                .iter()
                .filter_map(|result| result.as_ref().err())
                .collect();
            assert!(!full.is_empty());
            for error in &full {
                assert!(matches!(error, FetchError::DiskFull { .. }), "{error}");
                assert!(error.to_string().contains("no space left on `"), "{error}");
            }
            assert_eq!(names(&cache).len(), 2 - full.len());
            // The next run, with room, finds a usable cache.
            for name in names(&cache) {
                fs_err::remove_file(cache.join(name)).unwrap();
            }
            let again = fetch(&requests[..1], &cache, &options());
            assert!(again[0].is_ok());
        });
    });
}

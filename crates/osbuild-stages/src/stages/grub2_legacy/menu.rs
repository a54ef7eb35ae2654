//! The texts of `grub.cfg` and `/etc/default/grub`, byte for byte as upstream writes them.

use std::fmt::Write;

use anyhow::Result;

use super::{Entry, Options, Settings};

/// What is on top of the entries, after the time that the menu waits.
const HEAD: &str = r#"
# load the grubenv file
load_env

# selection of the next boot entry
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="${saved_entry}"
fi

if [ "${prev_saved_entry}" ]; then
  set saved_entry="${prev_saved_entry}"
  save_env saved_entry
  set prev_saved_entry=
  save_env prev_saved_entry
  set boot_once=true
fi

function savedefault {
  if [ -z "${boot_once}" ]; then
    saved_entry="${chosen}"
    save_env saved_entry
  fi
}
"#;
/// The platform whose `linux` command has other names.
const BIOS_PLATFORM: &str = "i386-pc";

/// The menu.
pub(super) fn text(options: &Options, is_uefi: bool) -> Result<String> {
    let settings = &options.config;
    let serial = match settings.serial.as_str() {
        "" => "${serial}".to_owned(),
        command => format!("\n{command}"),
    };
    let terminal = |name: &str, terminals: &[String]| {
        if terminals.is_empty() {
            format!("${{{name}}}")
        } else {
            format!("\n{name} {}", terminals.join(" "))
        }
    };
    let mut text = format!(
        "\n# Created by osbuild\n\nset timeout={}\n{HEAD}{serial}{}{}\n",
        timeout(settings),
        terminal("terminal_input", &settings.terminal_input),
        terminal("terminal_output", &settings.terminal_output),
    );
    for entry in &options.entries {
        text.push_str(&entry_text(options, entry, is_uefi)?);
    }
    text.push('\n');
    Ok(text)
}

fn entry_text(options: &Options, entry: &Entry, is_uefi: bool) -> Result<String> {
    let platform = options.bios.as_ref().map(|bios| bios.platform.as_str());
    let loader = match (platform, is_uefi) {
        (Some(BIOS_PLATFORM), true) => "efi",
        (Some(BIOS_PLATFORM), false) => "16",
        _ => "",
    };
    let home = if options.bootfs.is_some() {
        "/"
    } else {
        "/boot/"
    };
    let (_, search) = options.bootfs.as_ref().unwrap_or(&options.rootfs).words()?;
    let (root, _) = options.rootfs.words()?;
    let (kernel, id, cmdline) = (&entry.kernel, &entry.id, &options.config.cmdline);
    Ok(format!(
        "\nmenuentry '{}' --class red --class gnu-linux --class gnu --class os --unrestricted \
         --id 'gnulinux-{kernel}-advanced-{id}' {{\n\
         \tinsmod all_video\n\
         \tset gfxpayload=keep\n\
         \tsearch --no-floppy --set=root {search}\n\
         \tlinux{loader} {home}vmlinuz-{kernel} root={root} {cmdline}\n\
         \tinitrd{loader} {home}initramfs-{kernel}.img\n\
         }}\n",
        title(entry)
    ))
}

fn title(entry: &Entry) -> String {
    let product = &entry.product;
    let title = format!("{} ({}) {}", product.name, entry.kernel, product.version);
    match product.nick.as_str() {
        "" => title,
        nick => format!("{title} ({nick})"),
    }
}

/// The entry as the environment names it; quirk of upstream: with a `$` that the menu does not have.
pub(super) fn saved_id(entry: &Entry) -> String {
    format!("gnulinux-${}-advanced-{}", entry.kernel, entry.id)
}

fn timeout(settings: &Settings) -> String {
    let timeout = settings.timeout.as_ref();
    timeout.map_or("0".to_owned(), ToString::to_string)
}

/// The text of `/etc/default/grub`.
pub(super) fn defaults(settings: &Settings) -> String {
    let mut text = format!(
        "GRUB_TIMEOUT={}\nGRUB_CMDLINE_LINUX=\"{}\"\nGRUB_DISABLE_SUBMENU={}\nGRUB_DISABLE_RECOVERY={}\n\
         GRUB_TIMEOUT_STYLE={}\nGRUB_DEFAULT={}\n",
        timeout(settings),
        settings.cmdline,
        settings.disable_submenu.unwrap_or(true),
        settings.disable_recovery.unwrap_or(true),
        settings.timeout_style.as_deref().unwrap_or("countdown"),
        settings.default.as_deref().unwrap_or("saved"),
    );
    for (name, value) in [
        ("DISTRIBUTOR", settings.distributor.clone()),
        ("SERIAL_COMMAND", settings.serial.clone()),
        ("TERMINAL", settings.terminal.join(" ")),
        ("TERMINAL_INPUT", settings.terminal_input.join(" ")),
        ("TERMINAL_OUTPUT", settings.terminal_output.join(" ")),
    ] {
        if !value.is_empty() {
            writeln!(text, "GRUB_{name}=\"{value}\"").expect("writing to a string does not fail");
        }
    }
    text
}

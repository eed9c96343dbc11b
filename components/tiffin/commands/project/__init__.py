"""The files of a project that `tiffin init` writes; `@NAME@`, `@VERSION@` and `@TITLE@` are replaced."""

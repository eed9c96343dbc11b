"""The functions, operators and types that the SQL of derived columns may use.

They depend on their arguments only: not on files, the network, settings, the clock or random numbers. Functions are allowed by
name, since DuckDB's own mark of a deterministic function includes some that run SQL, and changes between versions.
"""

from collections.abc import Mapping

# Kind of function -> its names, as DuckDB's parser writes them.
FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "operators": (
        "+", "-", "*", "/", "//", "%", "^", "**", "&", "|", "<<", ">>", "~", "@", "||", "^@", "->>", "&&", "@>", "<@", "~~",
        "!~~", "~~*", "!~~*", "~~~", "like_escape", "not_like_escape", "ilike_escape", "not_ilike_escape",
    ),
    "numbers": (
        "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "bit_count", "cbrt", "ceil", "ceiling", "cos",
        "cosh", "cot", "degrees", "divide", "even", "exp", "factorial", "fdiv", "floor", "fmod", "gamma", "gcd",
        "greatest_common_divisor", "isfinite", "isinf", "isnan", "lcm", "least_common_multiple", "lgamma", "ln", "log", "log10",
        "log2", "mod", "multiply", "nextafter", "pi", "pow", "power", "radians", "round", "round_even", "roundbankers", "sign",
        "signbit", "sin", "sinh", "sqrt", "subtract", "tan", "tanh", "trunc", "xor",
    ),
    "text": (
        "ascii", "base64", "bin", "bit_length", "char_length", "character_length", "chr", "concat", "concat_ws", "contains",
        "decode", "editdist3", "encode", "ends_with", "format", "from_base64", "from_hex", "hamming", "hash", "hex", "instr",
        "jaccard", "jaro_similarity", "jaro_winkler_similarity", "lcase", "left", "left_grapheme", "length", "length_grapheme",
        "levenshtein", "lower", "lpad", "ltrim", "md5", "mismatches", "nfc_normalize", "octet_length", "ord", "overlay",
        "position", "prefix", "printf", "repeat", "replace", "reverse", "right", "right_grapheme", "rpad",
        "rtrim", "sha1", "sha256", "split_part", "starts_with", "strip_accents", "strlen", "strpos", "substr", "substring",
        "substring_grapheme", "suffix", "to_base", "to_base64", "to_binary", "to_hex", "translate", "trim", "ucase", "unhex",
        "unicode", "upper", "url_decode", "url_encode",
    ),
    "patterns": (
        "regexp_escape", "regexp_extract", "regexp_extract_all", "regexp_full_match", "regexp_matches", "regexp_replace",
        "regexp_split_to_array", "str_split_regex", "string_split_regex",
    ),
    "dates and times": (
        "century", "date_add", "date_diff", "date_part", "date_sub", "date_trunc", "datediff", "datepart", "datesub",
        "datetrunc", "day", "dayname", "dayofmonth", "dayofweek", "dayofyear", "days_in_month", "decade", "epoch", "epoch_ms",
        "epoch_ns", "epoch_us", "era", "hour", "isodow", "isoyear", "julian", "last_day", "make_date", "make_time",
        "make_timestamp", "make_timestamp_ms", "make_timestamp_ns", "make_timestamptz", "microsecond", "millennium",
        "millisecond", "minute", "month", "monthname", "nanosecond", "quarter", "second", "strftime", "strptime", "time_bucket",
        "timezone", "timezone_hour", "timezone_minute", "to_centuries", "to_days", "to_decades", "to_hours", "to_microseconds",
        "to_millennia", "to_milliseconds", "to_minutes", "to_months", "to_quarters", "to_seconds", "to_timestamp", "to_weeks",
        "to_years", "try_strptime", "week", "weekday", "weekofyear", "year", "yearweek",
    ),
    "conditions": ("greatest", "if", "least", "nullif"),
    "lists": (
        "array_append", "array_concat", "array_contains", "array_distinct", "array_extract", "array_has", "array_has_all",
        "array_has_any", "array_indexof", "array_length", "array_position", "array_prepend", "array_reverse", "array_slice",
        "array_sort", "array_to_string", "array_unique", "flatten", "len", "list_append", "list_avg", "list_bool_and",
        "list_bool_or", "list_cat", "list_concat", "list_contains", "list_count", "list_distinct", "list_element",
        "list_extract", "list_first", "list_has", "list_has_all", "list_has_any", "list_indexof", "list_intersect", "list_last",
        "list_max", "list_median", "list_min", "list_position", "list_prepend", "list_product", "list_reverse",
        "list_reverse_sort", "list_slice", "list_sort", "list_stddev_pop", "list_stddev_samp", "list_sum", "list_unique",
        "list_value", "list_var_pop", "list_var_samp", "split", "str_split", "string_split", "string_to_array",
    ),
    "maps, structs and JSON": (
        "cardinality", "element_at", "json_array_length", "json_exists", "json_extract", "json_extract_path_text",
        "json_extract_string", "json_type", "json_valid", "json_value", "map", "map_contains", "map_extract",
        "map_extract_value", "map_keys", "map_values", "struct_extract", "struct_extract_at", "struct_pack",
    ),
}  # fmt: skip
ALLOWED = frozenset(name for names in FUNCTIONS.values() for name in names)

# Types of casts, as DuckDB's parser writes them, and their other names. Not among them: TIMETZ, whose conversion to a time zone
# depends on today's date; ENUM, BIT and arrays of a fixed size, which allocate what the type says.
TYPES = frozenset((
    "bigint", "blob", "bool", "boolean", "bpchar", "bytea", "char", "date", "datetime", "dec", "decimal", "double",
    "double precision", "float", "float4", "float8", "hugeint", "int", "int1", "int128", "int16", "int2", "int32", "int4",
    "int64", "int8", "integer", "integral", "interval", "json", "list", "long", "logical", "numeric", "oid", "real", "short",
    "signed", "smallint", "string", "struct", "map", "text", "time", "timestamp", "timestamp with time zone", "timestamp_ms",
    "timestamp_ns", "timestamp_s", "timestamp_us", "timestamptz", "tinyint", "ubigint", "uhugeint", "uint128", "uint16",
    "uint32", "uint64", "uint8", "uinteger", "usmallint", "utinyint", "uuid", "varchar",
))  # fmt: skip

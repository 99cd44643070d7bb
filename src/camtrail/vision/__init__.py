"""Pixels -> numbers: decoding, hashes, structural similarity, copies that were cropped or turned."""

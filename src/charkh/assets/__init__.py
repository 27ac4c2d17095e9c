"""Versioned bytes: chunks by digest, laid in packs, and the trees and chunk lists that name them."""

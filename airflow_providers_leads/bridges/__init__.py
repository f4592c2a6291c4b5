"""The one room in which two CRMs meet.

Everywhere else a CRM is known by its hook alone, and what moves between CRMs are leads. What people did with one CRM's
mail is no field of a lead: it is events there and properties of a certain name and type here, so whoever carries it
over has to speak both languages. That stands here, one module per pair, named after both; only the operators that offer
it, and DAGs, import it.
"""
